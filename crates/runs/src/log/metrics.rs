use std::path::Path;
use std::time::Instant;

use serde_json::{Map, Number, Value};

use super::append::Appender;
use super::cut::{Kept, cut_after};
use super::notice::Notice;
use super::{METRICS, completions};
use crate::Error;

/// `metrics.jsonl`: one JSON object a line,
/// `{"step": 12, "time": 80.512, "reward": 0.41, "kl": 0.003, ..}`.
///
/// `time` is the seconds that the run has run, without the pauses between an interruption and a
/// resume. Names are those that users of TRL look for. A number that is not finite is `null`.
pub struct Metrics {
    lines: Appender,
    begun: Instant,
    /// Seconds of earlier calls.
    before: f64,
}

impl Metrics {
    /// Opens the metrics of a run: a new one, or one that resumes from `from_step`, in which case
    /// lines of later steps and a last line that was cut short are dropped. Pass `Some(0)` for a
    /// run that was interrupted before its first checkpoint.
    ///
    /// # Errors
    /// [`Error::LogExists`] for a new run where metrics stand; [`Error::Io`].
    pub fn open(run_dir: &Path, from_step: Option<u64>) -> Result<(Self, Vec<Notice>), Error> {
        let kept = match from_step {
            Some(step) => cut_after(run_dir, METRICS, step)?,
            None => completions::require_new(run_dir, METRICS).map(|()| Kept::default())?,
        };
        let lines = Appender::open(run_dir, METRICS)?;
        let before = kept.last.as_ref().and_then(|line| line["time"].as_f64());
        let before = before.filter(|seconds| *seconds >= 0.0).unwrap_or(0.0);
        Ok((Self { lines, begun: Instant::now(), before }, kept.notices))
    }

    /// Appends a line. The names `step` and `time` belong to the line itself.
    pub fn append(&mut self, step: u64, values: &[(&str, f64)]) -> Vec<Notice> {
        let mut notices = Vec::new();
        let mut line = Map::new();
        line.insert("step".to_owned(), step.into());
        line.insert("time".to_owned(), number((self.seconds() * 1e3).round() / 1e3));
        for (name, value) in values {
            match *name {
                "step" | "time" => {
                    notices.push(Notice::ReservedName { name: (*name).to_owned() });
                }
                name => {
                    line.insert(name.to_owned(), number(*value));
                }
            }
        }
        let text = Value::Object(line).to_string() + "\n";
        notices.extend(self.lines.append(text.into_bytes()));
        notices
    }

    /// Seconds that the run has run, earlier calls included.
    pub fn seconds(&self) -> f64 {
        self.before + self.begun.elapsed().as_secs_f64()
    }

    /// Lines that are not in the file.
    pub fn lost(&self) -> u64 {
        self.lines.lost()
    }
}

/// JSON has no NaN and no infinity.
fn number(value: f64) -> Value {
    Number::from_f64(value).map_or(Value::Null, Value::Number)
}
