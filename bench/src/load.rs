//! From a directory to the first logits: what a user waits for before the first token.

use std::path::Path;

use afterthought_models::hub;

use crate::worker::{object, serve};

/// Serves loads, the pass of one token included.
pub(crate) fn run(directory: &Path) -> anyhow::Result<()> {
    serve(object([]), || {
        let model = hub::load_inference(directory)?;
        let logits = model.logits(&[(&[0], &[0])])?;
        anyhow::ensure!(logits.len() == model.config().vocab_size, "{} logits", logits.len());
        Ok(object([("units", 1.into())]))
    })
}
