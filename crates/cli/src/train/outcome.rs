//! The model or adapter that comes out of a run.

use std::fs;

use afterthought_adapters::peft;
use afterthought_models::hub::{self, Provenance, SaveOptions};
use afterthought_training::Learner;
use anyhow::Context;

use super::request::Request;
use super::run_dir::{FINAL, RunDir};
use super::saved::{Saved, restore};
use super::start::Start;
use crate::commands::model_merge::companions;

/// Writes the result of a finished run: the last state, or the one with the best validation.
/// Returns the step whose state it is.
///
/// # Errors
/// The best checkpoint is damaged; the directory cannot be written.
pub(super) fn write(
    request: &Request,
    start: &Start,
    dir: &RunDir,
    saved: &Saved,
    mut learner: Learner,
    adapter: Option<&peft::AdapterConfig>,
) -> anyhow::Result<u64> {
    let best = match request.train.run.result.as_str() {
        "best" => saved.best(),
        _ => None,
    };
    let step = match best {
        Some(best) => restore(best, &mut learner)?.step,
        None => saved.latest().map_or(0, |latest| latest.step),
    };
    let decoder = learner.into_decoder();
    let directory = dir.path().join(FINAL);
    if directory.exists() {
        // Left by a process that ended between this and the end of the run.
        fs::remove_dir_all(&directory)
            .with_context(|| format!("cannot remove {}", directory.display()))?;
    }
    if let Some(adapter) = adapter {
        peft::save(&decoder, adapter, &directory)?;
        return Ok(step);
    }
    let base = hub::read_object(&start.loaded.directory.join("config.json"))?;
    let provenance = Provenance {
        base: Some(request.train.model.path.clone()),
        data: request.train.data.train.clone().or_else(|| request.train.data.task.clone()),
        recipe: Some(request.recipe.to_toml()),
        results: Vec::new(),
    };
    let provenance = serde_json::to_vec_pretty(&provenance)?;
    let mut files = companions(&start.loaded.directory)?;
    files.retain(|(name, _)| *name != Provenance::FILE);
    files.push((Provenance::FILE, provenance));
    let files: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (*name, &bytes[..])).collect();
    let options = SaveOptions { base: Some(&base), files: &files, ..SaveOptions::default() };
    hub::save_with(&decoder, options, &directory)?;
    Ok(step)
}
