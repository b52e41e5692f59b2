//! The directory of a run: who may use it, what it says about itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use afterthought_runs::RunLock;
use afterthought_runs::durable::replace_file;
use anyhow::Context;
use serde_json::{Value, json};

use super::request::Request;
use crate::exit::{AlreadyComplete, UsageError};
use crate::report::Machine;

/// The resolved recipe.
pub(super) const RECIPE: &str = "recipe.toml";
/// What the run is.
const RUN: &str = "run.json";
/// How it stands.
const STATE: &str = "state.json";
/// The model or adapter that came out.
pub(super) const FINAL: &str = "final";

/// A run directory that this process alone writes to.
pub(super) struct RunDir {
    path: PathBuf,
    total_steps: u64,
    _lock: RunLock,
}

/// How a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Running,
    Interrupted,
    Complete,
    Failed,
}

impl Status {
    fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Interrupted => "interrupted",
            Self::Complete => "complete",
            Self::Failed => "failed",
        }
    }
}

impl RunDir {
    /// Says so if the run is finished, before its model and data are opened. One that may become
    /// `longer` is looked at by [`Self::open`], which knows how long it is to be.
    ///
    /// # Errors
    /// [`AlreadyComplete`]; its state cannot be read.
    pub(super) fn require_unfinished(path: &Path, longer: bool) -> anyhow::Result<()> {
        // What else may be wrong with it, `open` says.
        let complete = path.is_dir() && state(path)?.0 == Status::Complete.name();
        match complete && !longer {
            true => Err(AlreadyComplete { directory: path.to_owned() }.into()),
            false => Ok(()),
        }
    }

    /// Takes the directory of a new run, or of one that goes on; a finished one only if it may
    /// become `longer`.
    ///
    /// # Errors
    /// [`AlreadyComplete`]; a usage error for a directory that is in use, holds another run or
    /// something else, or has no run to go on with.
    pub(super) fn open(
        request: &Request,
        resume: bool,
        longer: bool,
        total_steps: u64,
    ) -> anyhow::Result<Self> {
        let path = request.out.clone();
        if path.exists() && !path.is_dir() {
            let message = format!("{} is a file, not a directory", path.display());
            return Err(UsageError::new(message)
                .hint("choose another directory with --out")
                .into());
        }
        let known = path.join(RUN).is_file();
        if resume && !known {
            let message = format!("{} holds no run to go on with", path.display());
            return Err(UsageError::new(message).hint("leave --resume out to begin one").into());
        }
        if !resume && !known && occupied(&path)? {
            let message = format!("{} is not empty and not a run", path.display());
            return Err(UsageError::new(message)
                .hint("choose another directory with --out")
                .into());
        }
        let lock = RunLock::acquire(&path).map_err(|error| {
            UsageError::caused_by(format!("{} cannot be used", path.display()), error)
        })?;
        let (status, step) = state(&path)?;
        // A finished run may be made longer, by a recipe that allows for more steps.
        if status == Status::Complete.name() && !(longer && step < total_steps) {
            return Err(AlreadyComplete { directory: path }.into());
        }
        if !resume && known {
            let message = format!("{} holds a run that is not complete", path.display());
            let hint = "add --resume to go on with it, or choose another directory with --out";
            return Err(UsageError::new(message).hint(hint).into());
        }
        Ok(Self { path, total_steps, _lock: lock })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes what the run is: recipe, model, program.
    ///
    /// # Errors
    /// The directory cannot be written to.
    pub(super) fn describe(&self, request: &Request, parent: Option<&Path>) -> anyhow::Result<()> {
        let train = &request.train;
        let mut about = json!({
            "schema": "afterthought.run/1",
            "command": "train",
            "name": request.name,
            "program": format!("afterthought {}", env!("CARGO_PKG_VERSION")),
            "method": train.method,
            "model": train.model.path,
            "recipe": request.recipe.value(),
            "created": now(),
            "machine": Machine::detect(),
            "total_steps": self.total_steps,
        });
        if let Some(parent) = parent {
            about["parent"] = parent.display().to_string().into();
        }
        self.replace(RECIPE, request.recipe.to_toml().as_bytes())?;
        self.write_json(RUN, &about)
    }

    /// Writes how the run stands.
    ///
    /// # Errors
    /// The directory cannot be written to.
    pub(super) fn set_status(
        &self,
        status: Status,
        step: u64,
        message: Option<&str>,
    ) -> anyhow::Result<()> {
        let mut state = json!({"status": status.name(), "step": step, "updated": now()});
        if let Some(message) = message {
            state["message"] = message.into();
        }
        self.write_json(STATE, &state)
    }

    /// Writes a file as one step.
    ///
    /// # Errors
    /// The directory cannot be written to.
    pub(super) fn write_json(&self, name: &str, value: &Value) -> anyhow::Result<()> {
        self.replace(name, &(serde_json::to_vec_pretty(value)?))
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
        let path = self.path.join(name);
        replace_file(&path, bytes).with_context(|| format!("cannot write {}", path.display()))
    }
}

/// Whether something stands in a directory that is there.
fn occupied(path: &Path) -> anyhow::Result<bool> {
    match fs::read_dir(path) {
        Ok(mut entries) => Ok(entries.next().is_some()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// Status and step, empty and 0 where nothing is known.
fn state(path: &Path) -> anyhow::Result<(String, u64)> {
    let path = path.join(STATE);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Default::default()),
        Err(error) => {
            return Err(error).with_context(|| format!("cannot read {}", path.display()));
        }
    };
    let state: Value =
        serde_json::from_str(&text).with_context(|| format!("{} is damaged", path.display()))?;
    let status = state["status"].as_str().unwrap_or_default().to_owned();
    Ok((status, state["step"].as_u64().unwrap_or(0)))
}

fn now() -> String {
    humantime::format_rfc3339_seconds(SystemTime::now()).to_string()
}
