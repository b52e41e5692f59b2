//! `afterthought model export`: a model in another type, in several files, with a card.

use afterthought_models::Error as ModelError;
use afterthought_models::hub::{self, Dtype, Provenance, ShardSize, model_card};
use serde::Serialize;

use crate::args::{ModelExportArgs, WeightType};
use crate::commands::model_path::resolve;
use crate::console::{Console, print_json, print_text};
use crate::exit::UsageError;

/// Writes the directory and says what it holds.
pub(crate) fn run(args: &ModelExportArgs, console: &Console) -> anyhow::Result<()> {
    let directory = resolve(&args.model, console)?;
    let dtype = args.dtype.map(|dtype| match dtype {
        WeightType::F32 => Dtype::F32,
        WeightType::Bf16 => Dtype::Bf16,
        WeightType::F16 => Dtype::F16,
    });
    let provenance = Provenance::read(&directory)?;
    let name = args.out.file_name().unwrap_or(args.out.as_os_str()).to_string_lossy();
    let exported =
        hub::export(&directory, &args.out, dtype, ShardSize(args.shard_size), &|network, files| {
            model_card(&name, network, files, dtype, &provenance)
        })
        .map_err(|error| match error {
            ModelError::Io { action: "create", path, .. } if path.exists() => anyhow::Error::new(
                UsageError::new(format!("{} exists", path.display()))
                    .hint("name a directory that does not exist yet"),
            ),
            other => anyhow::Error::new(other),
        })?;
    for name in &exported.left_out {
        console.warn(&format!("left out: {name}"));
    }
    let summary = Summary {
        out: args.out.display().to_string(),
        tensors: exported.tensors,
        bytes: exported.bytes,
        files: exported.files,
        left_out: exported.left_out,
    };
    match args.json {
        true => print_json(&summary),
        false => Ok(print_text(&format!(
            "{}: {} tensors, {:.1} MB in {} weights file(s)",
            summary.out,
            summary.tensors,
            summary.bytes as f64 / 1e6,
            summary.files
        ))?),
    }
}

/// What `--json` prints.
#[derive(Serialize)]
struct Summary {
    out: String,
    tensors: usize,
    bytes: usize,
    files: usize,
    /// Files of the model directory that do not belong to a model.
    left_out: Vec<String>,
}
