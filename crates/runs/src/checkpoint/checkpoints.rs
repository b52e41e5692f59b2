use std::path::{Path, PathBuf};

use super::{Checkpoint, Damaged, Notice, Retention};
use crate::storage::{Disk, Storage};

/// The checkpoints of a run.
///
/// Whoever has one holds the run's [`RunLock`](crate::RunLock): opening clears away what looks like
/// an interrupted save, and may be another process's save under way.
#[derive(Debug)]
pub struct Checkpoints<S: Storage = Disk> {
    pub(super) storage: S,
    pub(super) directory: PathBuf,
    pub(super) retention: Retention,
    /// By step. Every one of them was good when it was opened or saved.
    pub(super) good: Vec<Checkpoint<S>>,
    pub(super) damaged: Vec<Damaged>,
    /// What `LATEST` says.
    pub(super) named: Option<u64>,
    /// Whether the end of an earlier save is to be tried again.
    pub(super) unsettled: bool,
    pub(super) notices: Vec<Notice>,
}

/// What is to be known of a checkpoint beside its files.
#[derive(Debug, Clone, PartialEq)]
pub struct NewCheckpoint {
    /// The step whose state it is.
    pub step: u64,
    /// The step of the checkpoint before it, if any.
    pub parent: Option<u64>,
    /// How good the state is, higher is better, if that was measured. Finite.
    pub metric: Option<f64>,
    /// What must be equal for an exact resume.
    pub fingerprint: serde_json::Value,
}

impl<S: Storage> Checkpoints<S> {
    /// The directory that holds them.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The newest good checkpoint.
    pub fn latest(&self) -> Option<&Checkpoint<S>> {
        self.good.last()
    }

    /// The good checkpoint of a step.
    pub fn get(&self, step: u64) -> Option<&Checkpoint<S>> {
        self.good.iter().find(|checkpoint| checkpoint.step == step)
    }

    /// The good checkpoint with the best metric, of equals the earliest.
    pub fn best(&self) -> Option<&Checkpoint<S>> {
        let mut measured = self.good.iter().filter_map(|c| Some((c, c.manifest.metric?)));
        let first = measured.next()?;
        Some(measured.fold(first, |best, other| if other.1 > best.1 { other } else { best }).0)
    }

    /// All good checkpoints, by step.
    pub fn all(&self) -> &[Checkpoint<S>] {
        &self.good
    }

    /// What has the name of a checkpoint and is none, by step.
    pub fn damaged(&self) -> &[Damaged] {
        &self.damaged
    }

    /// What happened beside the saves since the last call, for the owner of the run to read.
    pub fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}
