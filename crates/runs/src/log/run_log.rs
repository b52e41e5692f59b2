use std::path::Path;

use super::completions::{Completion, Completions};
use super::metrics::Metrics;
use super::notice::Notice;
use super::tensorboard::TensorBoard;
use crate::Error;

/// All logs of a run. Methods return what the user should be told; they never fail.
pub struct RunLog {
    metrics: Metrics,
    completions: Completions,
    events: TensorBoard,
}

impl RunLog {
    /// Opens the logs in a run directory that is there: of a new run, or of one that resumes from
    /// a step (0 where it was interrupted before its first checkpoint). What earlier calls logged
    /// of later steps is dropped, and said in the notices.
    ///
    /// # Errors
    /// [`Error::LogExists`] for a new run where logs stand; [`Error::Io`] if a file cannot be
    /// opened.
    pub fn open(run_dir: &Path, resume_step: Option<u64>) -> Result<(Self, Vec<Notice>), Error> {
        let (metrics, mut notices) = Metrics::open(run_dir, resume_step)?;
        let (completions, more) = Completions::open(run_dir, resume_step)?;
        notices.extend(more);
        let (events, notice) = TensorBoard::open(run_dir, resume_step)?;
        notices.extend(notice);
        Ok((Self { metrics, completions, events }, notices))
    }

    /// Logs the numbers of a step: a line of `metrics.jsonl` and an event for TensorBoard.
    pub fn scalars(&mut self, step: u64, values: &[(&str, f64)]) -> Vec<Notice> {
        let mut notices = self.metrics.append(step, values);
        notices.extend(self.events.scalars(step, values));
        notices
    }

    /// Shows a text, in Markdown, in TensorBoard: the recipe.
    pub fn text(&mut self, tag: &str, text: &str) -> Vec<Notice> {
        self.events.text(tag, text).into_iter().collect()
    }

    /// Keeps what the model wrote at a step.
    pub fn completions(&mut self, step: u64, completions: &[Completion]) -> Vec<Notice> {
        self.completions.append(step, completions)
    }

    /// Seconds that the run has run, earlier calls included.
    pub fn seconds(&self) -> f64 {
        self.metrics.seconds()
    }

    /// Lines and events that are not on disk because writing them failed. What only waits for the
    /// next write is counted too.
    pub fn lost(&self) -> u64 {
        self.metrics.lost() + self.completions.lost() + self.events.lost()
    }
}
