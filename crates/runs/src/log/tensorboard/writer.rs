use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use super::event::{Payload, event};
use super::record::framed;
use crate::Error;
use crate::log::append::Appender;
use crate::log::notice::Notice;
use crate::log::{TENSORBOARD, completions};

/// What our files are called: TensorBoard looks for `tfevents` and reads by name, in order.
const PREFIX: &str = "events.out.tfevents.";

/// A file of events in `tensorboard/`, one for every call of the program.
pub struct TensorBoard {
    records: Appender,
}

impl TensorBoard {
    /// Begins a file. If the run resumes from a step, the file tells TensorBoard to forget what
    /// earlier files hold of later steps.
    ///
    /// # Errors
    /// [`Error::LogExists`] for a new run where events stand; [`Error::Io`].
    pub fn open(run_dir: &Path, from_step: Option<u64>) -> Result<(Self, Option<Notice>), Error> {
        let folder = run_dir.join(TENSORBOARD);
        fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
        let last = last_second(&folder).map_err(Error::io("list", &folder))?;
        if from_step.is_none() && last.is_some() {
            return Err(Error::LogExists { path: folder });
        }
        // Behind every earlier file by name, even if the clock was set back since.
        let second = (wall_time() as u64).max(last.map_or(0, |last| last + 1));
        let name = format!("{TENSORBOARD}/{PREFIX}{second:010}.afterthought");
        completions::require_new(run_dir, &name)?;
        let mut writer = Self { records: Appender::open(run_dir, &name)? };
        let mut notice = writer.write(0, &Payload::FileVersion);
        if let Some(step) = from_step {
            // START says from which step on to forget.
            notice = writer.write(step.saturating_add(1), &Payload::Start).or(notice);
        }
        Ok((writer, notice))
    }

    /// Writes the numbers of a step, as one event.
    pub fn scalars(&mut self, step: u64, values: &[(&str, f64)]) -> Option<Notice> {
        self.write(step, &Payload::Scalars(values))
    }

    /// Writes a text in Markdown, at step 0.
    pub fn text(&mut self, tag: &str, text: &str) -> Option<Notice> {
        self.write(0, &Payload::Text(tag, text))
    }

    /// Events that are not in the file.
    pub fn lost(&self) -> u64 {
        self.records.lost()
    }

    fn write(&mut self, step: u64, payload: &Payload<'_>) -> Option<Notice> {
        self.records.append(framed(&event(wall_time(), step, payload)))
    }
}

/// The largest time in the names of the event files of a folder.
fn last_second(folder: &Path) -> std::io::Result<Option<u64>> {
    let mut last = None;
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let time = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.split('.').next());
        last = last.max(time.and_then(|digits| digits.parse().ok()));
    }
    Ok(last)
}

/// Seconds since 1970; 0 on a clock that stands before that.
fn wall_time() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}
