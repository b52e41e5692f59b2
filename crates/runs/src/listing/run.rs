use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};

use super::{reproduce, train};

/// What a run is and how it stands.
#[derive(Clone, Debug, Serialize)]
pub struct Run {
    /// The directory's name.
    pub name: String,
    /// The directory.
    #[serde(serialize_with = "lossy")]
    pub path: PathBuf,
    /// Which command made it.
    pub kind: Kind,
    /// The command as it was given, or its name.
    pub command: String,
    /// The program's version.
    pub program: Option<String>,
    /// The method: `sft`, `diffu-grpo`.
    pub method: Option<String>,
    /// The model that it began from.
    pub model: Option<String>,
    /// The recipe's name.
    pub recipe_name: Option<String>,
    /// The run that it was forked from.
    pub parent: Option<String>,
    /// How it stands.
    pub state: State,
    /// Why it stands so, if it said.
    pub message: Option<String>,
    /// Steps done.
    pub step: Option<u64>,
    /// Steps to do.
    pub total_steps: Option<u64>,
    /// When it began, RFC 3339 in UTC.
    pub created: Option<String>,
    /// When its state was last written, RFC 3339 in UTC.
    pub updated: Option<String>,
    /// Seconds that it has run, without pauses.
    pub seconds: Option<f64>,
    /// The last value of every metric, with its step.
    pub metrics: Vec<LastMetric>,
    /// Steps of the checkpoints that are there.
    pub checkpoints: Vec<u64>,
    /// Finished stages, of `reproduce`.
    pub stages: Vec<String>,
    /// Arguments of the command that continues it; empty where there is nothing to continue.
    pub resume: Vec<String>,
    /// What of it is missing or cannot be read, in sentences.
    pub problems: Vec<String>,
    /// The machine that it ran on, as the command described it.
    pub machine: Option<Value>,
    /// The resolved recipe.
    pub recipe: Map<String, Value>,
}

/// The last value of a metric.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LastMetric {
    /// Its name.
    pub name: String,
    /// The step at which it was logged.
    pub step: u64,
    /// The value; `null` where it is not finite.
    pub value: f64,
}

/// Which command made a run directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// `train`.
    Train,
    /// `reproduce`.
    Reproduce,
}

/// How a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// A process works on it.
    Running,
    /// It ended as asked.
    Complete,
    /// It was stopped, or its process is gone: it can be resumed.
    Interrupted,
    /// It ended with an error.
    Failed,
    /// Not finished; its files do not say whether a process works on it.
    Unfinished,
}

impl Run {
    /// The metric that says most about the run: a reward, else a loss.
    pub fn headline(&self) -> Option<&LastMetric> {
        let find = |name: &&str| self.metrics.iter().find(|metric| metric.name == **name);
        HEADLINES.iter().find_map(find)
    }
}

/// Metrics that say most about a run, the best first.
const HEADLINES: [&str; 6] =
    ["eval_reward", "eval_accuracy", "reward", "accuracy", "eval_loss", "loss"];

impl State {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Complete => "complete",
            Self::Interrupted => "interrupted",
            Self::Failed => "failed",
            Self::Unfinished => "unfinished",
        }
    }
}

/// Reads the run in a directory.
///
/// # Errors
/// In words, why the directory is not a run: nothing of a run is there, or the file that says what
/// it is cannot be read.
pub fn open(path: &Path) -> Result<Run, String> {
    let about = fs::metadata(path).map_err(|error| error.to_string())?;
    if !about.is_dir() {
        return Err("not a directory".to_owned());
    }
    fs::read_dir(path).map_err(|error| error.to_string())?;
    if path.join(train::RUN).exists() {
        return train::read(path);
    }
    if path.join(reproduce::REQUEST).exists() {
        return reproduce::read(path);
    }
    let traces = [train::STATE, crate::log::METRICS, "recipe.toml", "report.json"];
    match traces.iter().find(|name| path.join(name).exists()) {
        Some(trace) => Err(format!("{trace} without {} or {}", train::RUN, reproduce::REQUEST)),
        None => Err("nothing of a run in it".to_owned()),
    }
}

/// The name to call a directory by.
pub(super) fn name_of(path: &Path) -> String {
    // `.` and `..` have no name of their own.
    let resolved = || fs::canonicalize(path).ok()?.file_name().map(|name| name.to_owned());
    match path.file_name().map(|name| name.to_owned()).or_else(resolved) {
        Some(name) => name.to_string_lossy().into_owned(),
        None => path.to_string_lossy().into_owned(),
    }
}

/// A path as text: JSON cannot hold one that is not Unicode.
pub(super) fn lossy<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}

/// Larger files are not what a run writes.
const LARGEST: u64 = 16 << 20;

/// A small JSON file; the error says in words what is wrong with it.
pub(super) fn read_json<T: DeserializeOwned>(folder: &Path, name: &str) -> Result<T, String> {
    let read = || -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(folder.join(name))?.take(LARGEST + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => format!("{name} is missing"),
        _ => format!("{name}: {error}"),
    })?;
    if bytes.len() as u64 > LARGEST {
        return Err(format!("{name} is larger than {} MiB", LARGEST >> 20));
    }
    serde_json::from_slice(&bytes).map_err(|error| format!("{name}: {error}"))
}
