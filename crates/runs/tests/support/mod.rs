//! Checkpoints whose content follows from their step, and whether they are what was saved.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::path::Path;

use afterthought_runs::storage::Storage;
use afterthought_runs::{Checkpoint, Checkpoints, Error, NewCheckpoint, Retention};

pub const DIRECTORY: &str = "/run/checkpoints";

/// Bytes that no other step has.
pub fn model(step: u64) -> Vec<u8> {
    (0..300 + step).map(|i| (i.wrapping_mul(31) ^ step.wrapping_mul(131)) as u8).collect()
}

pub fn state(step: u64) -> Vec<u8> {
    format!("{{\"step\":{step}}}").into_bytes()
}

pub fn new(step: u64, parent: Option<u64>, metric: Option<f64>) -> NewCheckpoint {
    let fingerprint = serde_json::json!({ "recipe": { "steps": 100 } });
    NewCheckpoint { step, parent, metric, fingerprint }
}

/// Saves a step: one file at once, one in pieces.
pub fn save<S: Storage>(
    checkpoints: &mut Checkpoints<S>,
    step: u64,
    metric: Option<f64>,
) -> Result<Checkpoint<S>, Error> {
    let parent = checkpoints.latest().map(|latest| latest.step);
    checkpoints.save(&new(step, parent, metric), &mut |writer| {
        writer.file("state.json", &state(step))?;
        writer.stream("model.bin", &mut |out| {
            model(step).chunks(100).try_for_each(|chunk| out.write_all(chunk))
        })
    })
}

/// Every listed checkpoint must be exactly what was saved.
pub fn assert_whole<S: Storage>(checkpoints: &Checkpoints<S>) {
    for checkpoint in checkpoints.all() {
        let step = checkpoint.step;
        assert_eq!(checkpoint.manifest.step, step);
        assert_eq!(checkpoint.read("state.json").unwrap(), state(step));
        assert_eq!(checkpoint.read("model.bin").unwrap(), model(step));
        assert_eq!(checkpoint.manifest.files.len(), 2);
        assert_eq!(checkpoint.manifest.fingerprint["recipe"]["steps"], 100);
    }
}

pub fn steps<S: Storage>(checkpoints: &Checkpoints<S>) -> Vec<u64> {
    checkpoints.all().iter().map(|checkpoint| checkpoint.step).collect()
}

pub fn open<S: Storage>(storage: &S, retention: Retention) -> Checkpoints<S> {
    Checkpoints::open_on(storage.clone(), Path::new(DIRECTORY), retention).unwrap().0
}
