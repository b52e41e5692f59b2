use std::fs;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::COMPLETIONS;
use super::append::Appender;
use super::cut::{Kept, cut_after};
use super::notice::Notice;
use crate::Error;

/// A prompt, what the model wrote, and what it earned.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Completion {
    /// What the model was given.
    pub prompt: String,
    /// What it wrote.
    pub completion: String,
    /// The whole reward; absent where there is none, as in supervised training.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reward: Option<f64>,
    /// The reward's parts by name; `null` where a part does not apply.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub parts: Map<String, Value>,
    /// Anything else worth keeping: the answer, the advantage, whether it was cut off.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// A line of `completions.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoggedCompletion {
    /// The step whose policy wrote it.
    pub step: u64,
    /// What was written.
    #[serde(flatten)]
    pub completion: Completion,
}

/// The names that a line uses for itself.
const RESERVED: [&str; 5] = ["step", "prompt", "completion", "reward", "parts"];

/// `completions.jsonl`: what the model wrote, kept for every step that was logged.
pub struct Completions {
    lines: Appender,
}

impl Completions {
    /// Opens the completions of a run, as [`super::Metrics::open`] does the metrics.
    ///
    /// # Errors
    /// [`Error::LogExists`] for a new run where completions stand; [`Error::Io`].
    pub fn open(run_dir: &Path, from_step: Option<u64>) -> Result<(Self, Vec<Notice>), Error> {
        let kept = match from_step {
            Some(step) => cut_after(run_dir, COMPLETIONS, step)?,
            None => require_new(run_dir, COMPLETIONS).map(|()| Kept::default())?,
        };
        Ok((Self { lines: Appender::open(run_dir, COMPLETIONS)? }, kept.notices))
    }

    /// Appends a line for each completion. A name in `more` that a line uses for itself is left
    /// out.
    pub fn append(&mut self, step: u64, completions: &[Completion]) -> Vec<Notice> {
        let mut notices = Vec::new();
        for completion in completions {
            let mut completion = completion.clone();
            for name in RESERVED {
                if completion.more.remove(name).is_some() {
                    notices.push(Notice::ReservedName { name: name.to_owned() });
                }
            }
            // Strings, finite numbers and objects with string keys always encode; a reward that is
            // not finite becomes null.
            let line = serde_json::to_string(&LoggedCompletion { step, completion });
            notices.extend(self.lines.append((line.unwrap_or_default() + "\n").into_bytes()));
        }
        notices
    }

    /// Lines that are not in the file.
    pub fn lost(&self) -> u64 {
        self.lines.lost()
    }
}

/// Fails if a log that a new run is to begin has something in it already.
pub(super) fn require_new(run_dir: &Path, name: &str) -> Result<(), Error> {
    let path = run_dir.join(name);
    match fs::metadata(&path) {
        Ok(about) if about.len() > 0 => Err(Error::LogExists { path }),
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Error::io("open", &path)(error)),
    }
}

/// The completions of a run in the order in which they were written, and how many lines could not
/// be read. A file that is not there holds none.
///
/// # Errors
/// [`Error::Io`] if the file is there and cannot be read.
pub fn read_completions(run_dir: &Path) -> Result<(Vec<LoggedCompletion>, usize), Error> {
    let path = run_dir.join(COMPLETIONS);
    let file = match fs::File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((Vec::new(), 0)),
        Err(error) => return Err(Error::io("read", &path)(error)),
    };
    let (mut completions, mut unreadable) = (Vec::new(), 0);
    for line in BufReader::new(file).split(b'\n') {
        match serde_json::from_slice(&line.map_err(Error::io("read", &path))?) {
            Ok(completion) => completions.push(completion),
            Err(_) => unreadable += 1,
        }
    }
    Ok((completions, unreadable))
}
