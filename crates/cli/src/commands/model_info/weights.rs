//! The weights files of a model.

use std::collections::BTreeSet;

use afterthought_models::hub::Checkpoint;
use serde::Serialize;

/// The files.
#[derive(Serialize)]
pub(super) struct Weights {
    files: usize,
    bytes: usize,
    /// `F32`, `BF16`, `F16`.
    types: BTreeSet<&'static str>,
}

impl Weights {
    pub(super) fn new(checkpoint: &Checkpoint) -> Self {
        let files = checkpoint.files();
        let stored = files.iter().flat_map(|file| file.tensors());
        Self {
            files: files.len(),
            bytes: checkpoint.bytes(),
            types: stored.map(|tensor| tensor.dtype.name()).collect(),
        }
    }

    /// `BF16, 2 file(s), 12.3 MB`.
    pub(super) fn line(&self) -> String {
        let types: Vec<&str> = self.types.iter().copied().collect();
        let megabytes = self.bytes as f64 / 1e6;
        format!("{}, {} file(s), {megabytes:.1} MB", types.join(" and "), self.files)
    }
}
