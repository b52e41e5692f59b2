//! The directory of `train`.

use std::error::Error;
use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::checkpoints;
use super::run::{Kind, LastMetric, Run, State, name_of, read_json};
use crate::lock::NAME as LOCK;
use crate::log::{History, METRICS};

/// Says what a run is; written once, before anything else.
pub(super) const RUN: &str = "run.json";
/// Says how it stands; replaced as it goes.
pub(super) const STATE: &str = "state.json";
/// The schema of `run.json`.
const SCHEMA: &str = "afterthought.run/1";

#[derive(Deserialize)]
struct RunFile {
    schema: String,
    command: String,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    parent: Option<String>,
    #[serde(default)]
    program: Option<String>,
    #[serde(default)]
    method: Option<String>,
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    recipe: Map<String, Value>,
    #[serde(default)]
    created: Option<String>,
    #[serde(default)]
    total_steps: Option<u64>,
    #[serde(default)]
    machine: Option<Value>,
}

#[derive(Deserialize)]
struct StateFile {
    status: State,
    #[serde(default)]
    step: Option<u64>,
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    updated: Option<String>,
}

/// Reads a directory that has a `run.json`.
pub(super) fn read(path: &Path) -> Result<Run, String> {
    let file: RunFile = read_json(path, RUN)?;
    if file.schema != SCHEMA {
        return Err(format!("{RUN} has the schema {:?}, not {SCHEMA:?}", file.schema));
    }
    let mut problems = Vec::new();
    let state = read_json::<StateFile>(path, STATE).map_err(|problem| problems.push(problem)).ok();
    let locked = is_locked(path).unwrap_or_else(|error| {
        problems.push(format!("{LOCK}: {error}"));
        false
    });
    let history = tail(path, &mut problems);
    let in_recipe = || file.recipe.get("name").and_then(Value::as_str).map(str::to_owned);
    let recipe_name = file.name.clone().or_else(in_recipe);
    let logged = history.step();
    let state_now = standing(locked, state.as_ref().map(|state| state.status));
    Ok(Run {
        name: name_of(path),
        path: path.to_owned(),
        kind: Kind::Train,
        command: file.command,
        program: file.program,
        method: file.method,
        model: file.model,
        recipe_name,
        state: state_now,
        parent: file.parent,
        message: state.as_ref().and_then(|state| state.message.clone()),
        // The log runs ahead of the state while a process works on it.
        step: state.as_ref().and_then(|state| state.step).max(logged),
        total_steps: file.total_steps,
        created: file.created,
        updated: state.and_then(|state| state.updated),
        seconds: history.seconds(),
        metrics: last_metrics(&history),
        checkpoints: checkpoints::steps(path, &mut problems),
        stages: Vec::new(),
        resume: resume(path, state_now),
        problems,
        machine: file.machine,
        recipe: file.recipe,
    })
}

fn resume(path: &Path, state: State) -> Vec<String> {
    if matches!(state, State::Complete | State::Running) {
        return Vec::new();
    }
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let recipe = text(&path.join("recipe.toml"));
    vec!["train".to_owned(), recipe, "--resume".to_owned(), "--out".to_owned(), text(path)]
}

/// What the state file says, corrected by whether a process holds the lock.
fn standing(locked: bool, written: Option<State>) -> State {
    match (locked, written) {
        (true, _) => State::Running,
        // The process is gone and had no time to say so.
        (false, Some(State::Running)) => State::Interrupted,
        (false, Some(state)) => state,
        (false, None) => State::Unfinished,
    }
}

/// Whether a process holds the run. The lock is asked for and given back at once.
fn is_locked(path: &Path) -> io::Result<bool> {
    let file = match File::open(path.join(LOCK)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    match file.try_lock_shared() {
        Ok(()) => file.unlock().map(|()| false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// The end of the metrics, or none and a problem.
pub(super) fn tail(path: &Path, problems: &mut Vec<String>) -> History {
    match History::read_tail(path) {
        Ok(history) => {
            if history.unreadable() > 0 {
                let count = history.unreadable();
                problems.push(format!("{METRICS}: {count} line(s) cannot be read"));
            }
            history
        }
        Err(error) => {
            let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
            problems.push(format!("{error}{cause}"));
            History::default()
        }
    }
}

/// The last value of each metric.
pub(super) fn last_metrics(history: &History) -> Vec<LastMetric> {
    let metric =
        |(name, step, value): (&str, u64, f64)| LastMetric { name: name.to_owned(), step, value };
    history.last().into_iter().map(metric).collect()
}
