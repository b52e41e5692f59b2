//! The loop: steps, logs, validation, checkpoints, signals.

use std::time::Instant;

use afterthought_recipes::train::Train;
use afterthought_runs::log::{RunLog, Watch};
use afterthought_training::{Error as TrainingError, Learner};

use super::run_dir::{RunDir, Status};
use super::saved::{Position, Saved};
use super::trainer::Trainer;
use crate::console::Console;
use crate::exit::Interrupted;
use crate::progress::Progress;

/// Everything that a run works with.
pub(super) struct Run<'a> {
    pub(super) train: &'a Train,
    pub(super) total: u64,
    pub(super) trainer: Box<dyn Trainer>,
    pub(super) learner: Learner,
    pub(super) position: Position,
    pub(super) saved: Saved,
    pub(super) log: RunLog,
    pub(super) watch: Watch,
    pub(super) dir: &'a RunDir,
    pub(super) console: &'a Console,
    pub(super) stop: &'a dyn Fn() -> bool,
    /// Updates that the learner had taken when the current step began.
    pub(super) updates: usize,
    /// The step of the last validation that an earlier process logged.
    pub(super) logged: Option<u64>,
    /// The last validation: step and metric.
    pub(super) measured: Option<(u64, f64)>,
}

impl Run<'_> {
    /// Trains to the end. What goes wrong, and a signal, leave a checkpoint behind.
    ///
    /// # Errors
    /// [`Interrupted`]; those of steps, validations and saves.
    pub(super) fn finish(&mut self) -> anyhow::Result<()> {
        let result = self.train();
        let Err(error) = result else { return Ok(()) };
        // Decoding and validation notice a signal as an error of their own.
        let interrupted = (self.stop)();
        // After a failure of the disk another try would only hide the first message.
        let saved = if super::saved::is_of_disk(&error) {
            Ok(())
        } else if self.learner.step() != self.updates {
            // Some inner updates of the step were taken: no state that a resume could go on from.
            let step = self.saved.latest().map_or(0, |latest| latest.step);
            self.console.warn(&format!(
                "step {} failed half way; the last checkpoint is that after step {step}",
                self.position.step
            ));
            Ok(())
        } else {
            // A signal may have come between a validation and the next checkpoint.
            let measured = self.measured.filter(|(step, _)| *step == self.position.step);
            self.checkpoint(measured.map(|(_, metric)| metric))
        };
        let (status, message) = match interrupted {
            true => (Status::Interrupted, None),
            false => (Status::Failed, Some(error.to_string())),
        };
        let step = self.position.step;
        let noted = self.dir.set_status(status, step, message.as_deref());
        if interrupted {
            saved?;
            noted?;
            let checkpoint = self.dir.path().to_owned();
            return Err(Interrupted { checkpoint }.into());
        }
        for problem in [saved.err(), noted.err()].into_iter().flatten() {
            self.console.warn(&format!("{problem:#}"));
        }
        Err(error)
    }

    fn train(&mut self) -> anyhow::Result<()> {
        self.dir.set_status(Status::Running, self.position.step, None)?;
        let progress = Progress::single(self.console, "training", self.total);
        progress.inc(self.position.step);
        self.resume_validation(&progress)?;
        let (begun, before) = (Instant::now(), self.position.tokens);
        while self.position.step < self.total {
            if (self.stop)() {
                anyhow::bail!("stopped");
            }
            let at = self.position.step;
            self.updates = self.learner.step();
            let step_begun = Instant::now();
            let step = self.trainer.step(&mut self.learner, at, self.stop);
            let step = step.inspect_err(|error| self.keep_batch(at, error))?;
            self.position.step += 1;
            self.updates = self.learner.step();
            self.position.tokens += step.tokens;
            let seconds = begun.elapsed().as_secs_f64();
            let rate = (self.position.tokens - before) as f64 / seconds.max(1e-9);
            let mut scalars = step.scalars;
            scalars.push(("step_time".to_owned(), step_begun.elapsed().as_secs_f64()));
            self.position.interval.add(&scalars);
            for name in ["reward", "loss"] {
                if let Some((_, value)) = scalars.iter().find(|(known, _)| known == name) {
                    progress.metric(name, *value);
                }
            }
            progress.metric("tokens/s", rate);
            progress.inc(1);
            let last = self.position.step == self.total;
            if last || self.position.step.is_multiple_of(self.train.run.log_every) {
                let mut scalars = self.position.interval.take();
                scalars.push(("num_tokens".into(), self.position.tokens as f64));
                self.log(scalars);
            }
            if let Some(every) = self.train.run.completions_every
                && at.is_multiple_of(every)
            {
                let notices = self.log.completions(self.position.step, &step.completions);
                self.tell(notices);
            }
            let metric = match self.validation_due(self.position.step) {
                true => Some(self.validate(&progress)?),
                false => None,
            };
            let due = self.position.step.is_multiple_of(self.train.run.checkpoint_every);
            if last || due || self.is_best(metric) {
                self.checkpoint(metric)?;
            }
        }
        progress.finish();
        Ok(())
    }

    fn validation_due(&self, step: u64) -> bool {
        let every = self.train.run.validate_every;
        every.is_some_and(|every| step.is_multiple_of(every) || step == self.total)
    }

    /// At the start of a run; and where a signal came between a state and its validation.
    fn resume_validation(&mut self, progress: &Progress) -> anyhow::Result<()> {
        let step = self.position.step;
        if !self.validation_due(step) {
            return Ok(());
        }
        let saved = self.saved.latest().filter(|latest| latest.step == step);
        if saved.is_some_and(|saved| saved.manifest.metric.is_some()) {
            return Ok(());
        }
        let saved = saved.is_some();
        let metric = self.validate(progress)?;
        match saved {
            true => self.saved.measured(step, metric),
            false => Ok(()),
        }
    }

    fn validate(&mut self, progress: &Progress) -> anyhow::Result<f64> {
        let measured = self.trainer.validate(self.learner.decoder(), self.stop)?;
        anyhow::ensure!(
            measured.metric.is_finite(),
            "the validation after step {} gave {}",
            self.position.step,
            measured.metric
        );
        progress.metric("validation", measured.metric.abs());
        self.measured = Some((self.position.step, measured.metric));
        if self.logged != Some(self.position.step) {
            self.log(measured.scalars);
        }
        Ok(measured.metric)
    }

    fn is_best(&self, metric: Option<f64>) -> bool {
        let best = self.saved.best().and_then(|best| best.manifest.metric);
        self.train.run.keep_best > 0
            && metric.is_some_and(|metric| best.is_none_or(|best| metric > best))
    }

    fn checkpoint(&mut self, metric: Option<f64>) -> anyhow::Result<()> {
        if self.position.step == 0 {
            return Ok(());
        }
        self.saved.save(&self.learner, &self.position, metric, self.console, self.stop)?;
        self.dir.set_status(Status::Running, self.position.step, None)
    }

    fn log(&mut self, scalars: Vec<(String, f64)>) {
        let step = self.position.step;
        let named: Vec<(&str, f64)> =
            scalars.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        let notices = self.log.scalars(step, &named);
        self.tell(notices);
        for hint in self.watch.observe(step, &named) {
            match hint.alarming {
                true => self.console.warn(&hint.text),
                false => self.console.note(&format!("hint: {}", hint.text)),
            }
        }
    }

    fn tell(&self, notices: Vec<afterthought_runs::log::Notice>) {
        for notice in notices {
            self.console.warn(&notice.to_string());
        }
    }

    /// A step whose numbers are not finite leaves behind what it worked on.
    fn keep_batch(&self, step: u64, error: &anyhow::Error) {
        if !matches!(error.downcast_ref(), Some(TrainingError::NonFinite { .. })) {
            return;
        }
        let name = format!("not-finite-step-{step}.json");
        match self.dir.write_json(&name, &self.trainer.batch(step)) {
            Ok(()) => {
                let path = self.dir.path().join(&name);
                self.console.warn(&format!("what the step worked on is in {}", path.display()));
            }
            Err(error) => self.console.warn(&format!("{error:#}")),
        }
    }
}
