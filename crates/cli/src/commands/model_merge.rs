//! `afterthought model merge`: an adapter and its base become one plain model.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use afterthought_adapters::{merge, peft};
use afterthought_models::hub::{self, Checkpoint, Dtype, SaveOptions};
use anyhow::Context;
use burn::tensor::Device;
use serde::Serialize;

use crate::args::{ModelMergeArgs, WeightType};
use crate::commands::adapter::warn_unchecked;
use crate::commands::loaded::needs_decoder;
use crate::commands::model_path::resolve;
use crate::console::{Console, print_json, print_text};
use crate::exit::UsageError;

/// Merges, writes the directory and says what changed.
pub(crate) fn run(args: &ModelMergeArgs, console: &Console) -> anyhow::Result<()> {
    if args.out.exists() {
        return Err(UsageError::new(format!("{} exists", args.out.display()))
            .hint("name a directory that does not exist yet")
            .into());
    }
    let (directory, adapter) = (resolve(&args.model, console)?, resolve(&args.adapter, console)?);
    if hub::is_encoder_decoder(&directory)? {
        return Err(needs_decoder(&directory).into());
    }
    let (_, checkpoint) = hub::open(&directory)?;
    let dtype = match args.dtype {
        Some(WeightType::F32) => Dtype::F32,
        Some(WeightType::Bf16) => Dtype::Bf16,
        Some(WeightType::F16) => Dtype::F16,
        None => stored_type(&checkpoint)?,
    };
    let mut decoder = hub::load_frozen(&directory, &Device::flex())?;
    let config = peft::load(&mut decoder, &adapter)?;
    if !config.base_checked() {
        warn_unchecked(&adapter, console);
    }
    let merged = merge(&mut decoder)?;

    let base = hub::read_object(&directory.join("config.json"))?;
    let files = companions(&directory)?;
    let left_out = left_out(&directory)?;
    for name in &left_out {
        console.warn(&format!("left out: {name}"));
    }
    let files: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (*name, &bytes[..])).collect();
    let options = SaveOptions { dtype, base: Some(&base), files: &files, ..SaveOptions::default() };
    hub::save_with(&decoder, options, &args.out)?;
    let summary = Summary {
        out: args.out.display().to_string(),
        dtype: dtype.name(),
        base_checked: config.base_checked(),
        merged,
        left_out,
    };
    match args.json {
        true => print_json(&summary),
        false => Ok(print_text(&format!(
            "{}: {} layers merged, weights in {}",
            summary.out,
            summary.merged.len(),
            summary.dtype
        ))?),
    }
}

/// The one type of a model's weights.
fn stored_type(checkpoint: &Checkpoint) -> anyhow::Result<Dtype> {
    let tensors = checkpoint.files().iter().flat_map(|file| file.tensors());
    let types: Vec<Dtype> = tensors.filter_map(|tensor| Dtype::of(tensor.dtype)).collect();
    let names: BTreeSet<&str> = types.iter().map(|dtype| dtype.name()).collect();
    match (types.first(), names.len()) {
        (Some(dtype), 1) => Ok(*dtype),
        _ => {
            let names: Vec<&str> = names.into_iter().collect();
            let message = format!("the model's weights are of several types: {}", names.join(", "));
            Err(UsageError::new(message).hint("use --dtype f32").into())
        }
    }
}

/// The files that belong to a model beside its settings and weights, and that it has.
///
/// # Errors
/// One cannot be read.
pub(crate) fn companions(directory: &Path) -> anyhow::Result<Vec<(&'static str, Vec<u8>)>> {
    let present = hub::COMPANIONS.iter().filter(|name| directory.join(name).is_file());
    present
        .map(|name| {
            let path = directory.join(name);
            let bytes =
                fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            Ok((*name, bytes))
        })
        .collect()
}

/// Other files of the model, but for settings and weights, which are written anew.
fn left_out(directory: &Path) -> anyhow::Result<Vec<String>> {
    let context = || format!("cannot read {}", directory.display());
    let mut names = Vec::new();
    for entry in fs::read_dir(directory).with_context(context)? {
        let name = entry.with_context(context)?.file_name().to_string_lossy().into_owned();
        let written = name == "config.json" || name == hub::INDEX || name.ends_with(".safetensors");
        if !written && !hub::COMPANIONS.contains(&name.as_str()) {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// What `--json` prints.
#[derive(Serialize)]
struct Summary {
    out: String,
    /// Type of the weights.
    dtype: &'static str,
    /// Whether the base is known to be the one that the adapter was trained on.
    base_checked: bool,
    /// Paths of the layers that changed.
    merged: Vec<String>,
    /// Files of the base that do not belong to a model.
    left_out: Vec<String>,
}
