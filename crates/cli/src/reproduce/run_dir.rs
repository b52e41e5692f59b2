//! The directory of a run: what was asked, what each finished stage left, and the logs.
//!
//! A stage is finished when its JSON stands in `stages/`; running the same command again continues
//! behind the last finished stage, and another request in the same directory is refused.

use crate::exit::{AlreadyComplete, UsageError};
use afterthought_runs::durable::{read_if_there, replace_file};
use anyhow::Context;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// One line of `calls.jsonl`.
#[derive(serde::Deserialize)]
struct Call {
    seconds: f64,
}

/// An open run directory.
pub(crate) struct RunDir {
    path: PathBuf,
}

impl RunDir {
    /// Opens or creates the directory of one request.
    ///
    /// # Errors
    /// [`AlreadyComplete`] if the report is there; a usage error if another request's files are.
    pub(crate) fn open(path: &Path, request: &impl Serialize) -> anyhow::Result<Self> {
        let request = serde_json::to_string_pretty(request)? + "\n";
        let known = read_if_there(&path.join("request.json"))?;
        if known.as_ref().is_some_and(|known| *known != request) {
            let message =
                format!("{} holds the run of another recipe, seed or version", path.display());
            return Err(UsageError::new(message)
                .hint("choose another directory with --out")
                .into());
        }
        if known.is_none() && path.is_dir() && fs::read_dir(path)?.next().is_some() {
            let message = format!("{} is not empty and not a run of this command", path.display());
            return Err(UsageError::new(message)
                .hint("choose another directory with --out")
                .into());
        }
        if path.join("report.json").exists() {
            return Err(AlreadyComplete { directory: path.to_owned() }.into());
        }
        fs::create_dir_all(path).with_context(|| format!("cannot create {}", path.display()))?;
        let run = Self { path: path.to_owned() };
        // First, so that whatever stands here later is known to be this run's.
        if known.is_none() {
            run.replace("request.json", request.as_bytes())?;
        }
        for folder in ["stages", "models"] {
            let folder = path.join(folder);
            fs::create_dir_all(&folder)
                .with_context(|| format!("cannot create {}", folder.display()))?;
        }
        Ok(run)
    }

    /// The directory.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Where the model of a stage lives.
    pub(crate) fn model(&self, name: &str) -> PathBuf {
        self.path.join("models").join(name)
    }

    /// What a finished stage left.
    pub(crate) fn finished<T: DeserializeOwned>(&self, stage: &str) -> anyhow::Result<Option<T>> {
        let path = self.stage(stage);
        let parse = |text: String| {
            serde_json::from_str(&text).with_context(|| format!("cannot read {}", path.display()))
        };
        read_if_there(&path)?.map(parse).transpose()
    }

    /// Marks a stage as finished.
    pub(crate) fn finish(&self, stage: &str, result: &impl Serialize) -> anyhow::Result<()> {
        self.replace(&format!("stages/{stage}.json"), &serde_json::to_vec_pretty(result)?)
    }

    fn stage(&self, stage: &str) -> PathBuf {
        self.path.join("stages").join(format!("{stage}.json"))
    }

    /// Drops the lines that an unfinished earlier call of a stage left in a log, torn ones too.
    pub(crate) fn forget(&self, file: &str, stage: &str) -> anyhow::Result<()> {
        let Some(text) = read_if_there(&self.path.join(file))? else {
            return Ok(());
        };
        let others = |line: &&str| {
            serde_json::from_str::<serde_json::Value>(line).is_ok_and(|v| v["stage"] != stage)
        };
        let kept: String = text.lines().filter(others).flat_map(|line| [line, "\n"]).collect();
        self.replace(file, kept.as_bytes())
    }

    /// Appends one JSON line to a log of the run.
    pub(crate) fn log(&self, file: &str, line: &impl Serialize) -> anyhow::Result<()> {
        let path = self.path.join(file);
        let mut text = serde_json::to_string(line)?;
        text.push('\n');
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .and_then(|mut log| log.write_all(text.as_bytes()))
            .with_context(|| format!("cannot append to {}", path.display()))
    }

    /// Seconds that earlier calls of the same command spent.
    /// Lines that cannot be read (torn by a crash) are counted, not added.
    pub(crate) fn earlier_seconds(&self) -> anyhow::Result<(f64, usize)> {
        let text = read_if_there(&self.path.join("calls.jsonl"))?.unwrap_or_default();
        let (mut total, mut unreadable) = (0.0, 0);
        for line in text.lines() {
            match serde_json::from_str::<Call>(line) {
                Ok(call) => total += call.seconds,
                Err(_) => unreadable += 1,
            }
        }
        Ok((total, unreadable))
    }

    /// Writes a file beside its name and renames it.
    pub(crate) fn replace(&self, file: &str, bytes: &[u8]) -> anyhow::Result<()> {
        let path = self.path.join(file);
        replace_file(&path, bytes).with_context(|| format!("cannot write {}", path.display()))
    }
}
