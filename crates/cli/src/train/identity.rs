//! What must be equal for a resumed run to be the run that was begun.

use std::collections::BTreeMap;
use std::path::Path;

use afterthought_kernels::{has_fused_kernels, precision};
use afterthought_runs::{Dataset, Fingerprint, Program};
use burn::tensor::Device;

use super::request::Request;
use super::start::Start;
use crate::report::Machine;

/// Files that decide the numbers of a run, and how many rows of each are used.
pub(super) type Files = BTreeMap<String, u64>;

/// The fingerprint of a run that is about to begin or to go on.
///
/// # Errors
/// A file cannot be read.
pub(super) fn fingerprint(
    request: &Request,
    start: &Start,
    files: &Files,
) -> anyhow::Result<Fingerprint> {
    let mut datasets = BTreeMap::new();
    for (path, rows) in files {
        datasets.insert(path.clone(), Dataset::of_file(Path::new(path), *rows)?);
    }
    // The model is what the first steps are computed from, as much as the data.
    for file in start.loaded.checkpoint.files() {
        let path = file.path().display().to_string();
        datasets.insert(path, Dataset::of_file(file.path(), file.tensors().len() as u64)?);
    }
    for name in ["config.json", "tokenizer.json"] {
        let path = start.loaded.directory.join(name);
        datasets.insert(path.display().to_string(), Dataset::of_file(&path, 0)?);
    }
    let kernels = match has_fused_kernels(&Device::flex()) {
        true => "fused",
        false => "composed",
    };
    Ok(Fingerprint {
        recipe: request.recipe.value().clone(),
        datasets,
        program: Program::running(env!("CARGO_PKG_VERSION"))?,
        threads: rayon::current_num_threads(),
        kernels: format!("{kernels}: {}", Machine::detect().features.join(" ")),
        precision: precision().to_string(),
    })
}
