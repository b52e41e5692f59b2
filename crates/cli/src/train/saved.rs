//! The state of a run as a checkpoint, and back.

use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use afterthought_runs::{
    Checkpoint, Checkpoints, Error as RunsError, Fingerprint, NewCheckpoint, Retention,
};
use afterthought_training::{Learner, LearnerState};
use anyhow::Context;
use serde::{Deserialize, Serialize};

use super::interval::Interval;
use crate::console::Console;
use crate::exit::UsageError;

const WEIGHTS: &str = "weights.safetensors";
const OPTIMIZER: &str = "optimizer.safetensors";
const COUNTERS: &str = "counters.json";

/// How long a save is tried again while the disk is full.
const PATIENCE: Duration = Duration::from_secs(600);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What is counted. Randomness has no state: every draw is a function of seed and step.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Counters {
    /// Steps taken.
    step: u64,
    /// Updates taken.
    updates: usize,
    /// Tokens worked on.
    tokens: u64,
    /// What the log has not been told yet.
    #[serde(default)]
    interval: Interval,
}

/// The checkpoints of a run.
pub(super) struct Saved {
    checkpoints: Checkpoints,
    fingerprint: Fingerprint,
}

/// Where a run stands.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Position {
    /// Steps taken.
    pub(super) step: u64,
    /// Tokens worked on.
    pub(super) tokens: u64,
    /// Numbers that the next line of the log is the mean of.
    pub(super) interval: Interval,
}

impl Saved {
    /// Opens the checkpoints of a run, and says what it found damaged.
    ///
    /// # Errors
    /// The directory cannot be used.
    pub(super) fn open(
        run: &Path,
        retention: Retention,
        fingerprint: Fingerprint,
        console: &Console,
    ) -> anyhow::Result<Self> {
        let (checkpoints, notices) = Checkpoints::open(&run.join("checkpoints"), retention)?;
        for notice in notices {
            console.warn(&notice.to_string());
        }
        Ok(Self { checkpoints, fingerprint })
    }

    /// The last state.
    pub(super) fn latest(&self) -> Option<&Checkpoint> {
        self.checkpoints.latest()
    }

    /// The state with the best validation.
    pub(super) fn best(&self) -> Option<&Checkpoint> {
        self.checkpoints.best()
    }

    /// Saves a state, with the validation that was measured on it. On a full disk it pauses and
    /// tries again.
    ///
    /// # Errors
    /// The state is not finite; the disk stays full or fails in another way.
    pub(super) fn save(
        &mut self,
        learner: &Learner,
        position: &Position,
        metric: Option<f64>,
        console: &Console,
        stop: &dyn Fn() -> bool,
    ) -> anyhow::Result<()> {
        if self.latest().is_some_and(|latest| latest.step == position.step) {
            return Ok(());
        }
        let state = learner.state()?;
        let counters = Counters {
            step: position.step,
            updates: state.updates,
            tokens: position.tokens,
            interval: position.interval.clone(),
        };
        let counters = serde_json::to_vec_pretty(&counters)?;
        let new = NewCheckpoint {
            step: position.step,
            parent: self.latest().map(|latest| latest.step),
            metric,
            fingerprint: serde_json::to_value(&self.fingerprint)?,
        };
        let (begun, mut pause) = (Instant::now(), Duration::from_secs(1));
        loop {
            let saved = self.checkpoints.save(&new, &mut |writer| {
                writer.file(WEIGHTS, &state.weights)?;
                writer.file(OPTIMIZER, &state.optimizer)?;
                writer.file(COUNTERS, &counters)
            });
            match saved {
                Ok(_) => break,
                Err(error) if error.is_retryable() && begun.elapsed() < PATIENCE && !stop() => {
                    let seconds = pause.as_secs();
                    console.warn(&format!("{error}; trying again in {seconds} s"));
                    let until = Instant::now() + pause;
                    while Instant::now() < until && !stop() {
                        sleep(Duration::from_millis(100));
                    }
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                Err(error) => return Err(error.into()),
            }
        }
        for notice in self.checkpoints.take_notices() {
            console.warn(&notice.to_string());
        }
        Ok(())
    }

    /// Notes what was measured on the last state, after it had been saved without.
    ///
    /// # Errors
    /// The disk fails.
    pub(super) fn measured(&mut self, step: u64, metric: f64) -> anyhow::Result<()> {
        Ok(self.checkpoints.set_metric(step, metric)?)
    }
}

/// Takes a checkpoint's state over into a learner.
///
/// # Errors
/// The checkpoint is damaged or of another model.
pub(super) fn restore(checkpoint: &Checkpoint, learner: &mut Learner) -> anyhow::Result<Position> {
    let counters: Counters = serde_json::from_slice(&checkpoint.read(COUNTERS)?)
        .with_context(|| format!("{} is damaged", checkpoint.file(COUNTERS).display()))?;
    let state = LearnerState {
        weights: checkpoint.read(WEIGHTS)?,
        optimizer: checkpoint.read(OPTIMIZER)?,
        updates: counters.updates,
    };
    learner.restore(&state).with_context(|| format!("in {}", checkpoint.path.display()))?;
    Ok(Position { step: counters.step, tokens: counters.tokens, interval: counters.interval })
}

/// Refuses to go on from a state that another recipe, data set, program or machine made.
///
/// # Errors
/// A usage error that lists what changed.
pub(super) fn require_unchanged(
    checkpoint: &Checkpoint,
    now: &Fingerprint,
    allowed: bool,
    console: &Console,
) -> anyhow::Result<()> {
    let was: Fingerprint = serde_json::from_value(checkpoint.manifest.fingerprint.clone())
        .with_context(|| format!("the manifest of {}", checkpoint.path.display()))?;
    let changes = was.changes(now);
    if changes.is_empty() {
        return Ok(());
    }
    let list: String = changes.iter().map(|change| format!("\n  {change}")).collect();
    if allowed {
        console.warn(&format!("not bit for bit what the run would have been, because of{list}"));
        return Ok(());
    }
    let message = format!("the run was begun with other settings:{list}");
    Err(UsageError::new(message)
        .hint(
            "put them back, go on all the same with --allow-change, or begin a new run from its \
             state with --fork CHECKPOINT --out DIR",
        )
        .into())
}

/// Opens one checkpoint of another run: its directory, or the last one of a run directory.
///
/// # Errors
/// A usage error if there is none; it is damaged.
pub(super) fn open_one(path: &Path) -> anyhow::Result<Checkpoint> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
    let step = name.as_deref().and_then(|name| name.strip_prefix("step-")?.parse::<u64>().ok());
    let folder = match step {
        Some(_) => path.parent().unwrap_or(Path::new(".")).to_owned(),
        None => path.join("checkpoints"),
    };
    let found = Checkpoints::glance(&folder)?;
    let found = match step {
        Some(step) => found.into_iter().find(|checkpoint| checkpoint.step == step),
        None => found.into_iter().next_back(),
    };
    found.ok_or_else(|| {
        UsageError::new(format!("{} is no checkpoint and holds none", path.display()))
            .hint("name a run directory, or one of its checkpoints/step-...")
            .into()
    })
}

/// Whether an error of a save is about the disk, so that the run could go on later.
pub(super) fn is_of_disk(error: &anyhow::Error) -> bool {
    error.downcast_ref::<RunsError>().is_some_and(RunsError::is_retryable)
}
