use std::io;
use std::path::{Path, PathBuf};

use super::ProcessSettings;
use super::program::{find, missing_hint, start_hint};
use super::running::Running;
use crate::attempts::{Attempts, NoAnswer};
use crate::protocol::{next_request, outcomes};
use crate::{Completion, Error, Log, Outcome, Reward};

/// A reward that is worked out by a process.
pub(crate) struct ProcessReward {
    name: String,
    settings: ProcessSettings,
    program: PathBuf,
    directory: PathBuf,
    log: Log,
    running: Option<Running>,
    batch: u64,
}

impl ProcessReward {
    /// Starts nothing yet, but looks whether the program is there.
    pub(crate) fn new(
        name: String,
        settings: ProcessSettings,
        working_directory: &Path,
        log: Log,
    ) -> Result<Self, Error> {
        let given = settings.working_dir.as_deref().unwrap_or(Path::new(""));
        let directory = working_directory.join(given);
        let directory = std::path::absolute(&directory)
            .ok()
            .filter(|directory| directory.is_dir())
            .ok_or_else(|| Error::WorkingDirectory { reward: name.clone(), path: directory })?;
        let path = settings.env.get("PATH").map(Into::into).or_else(|| std::env::var_os("PATH"));
        let program = find(&settings.program, &directory, path).ok_or_else(|| Error::Start {
            reward: name.clone(),
            program: settings.program.clone(),
            hint: missing_hint(&settings.program, &directory),
            source: io::ErrorKind::NotFound.into(),
        })?;
        Ok(Self { name, settings, program, directory, log, running: None, batch: 0 })
    }

    fn start(&self) -> Result<Running, Error> {
        Running::start(&self.program, &self.settings, &self.directory, &self.name, &self.log)
            .map_err(|source| Error::Start {
                reward: self.name.clone(),
                program: self.settings.program.clone(),
                hint: start_hint(&source),
                source,
            })
    }

    /// One attempt at a batch. After an error nothing is running.
    fn attempt(
        &mut self,
        request: Vec<u8>,
        batch: &[Completion<'_>],
    ) -> Result<Result<Vec<Outcome>, NoAnswer>, Error> {
        let mut running = match self.running.take() {
            Some(running) => running,
            None => self.start()?,
        };
        let limit = self.settings.max_response_bytes;
        let answer = match running.call(request, self.settings.timeout, limit) {
            Ok(answer) => answer,
            Err(no_answer) => return Ok(Err(no_answer)),
        };
        match outcomes(&answer, self.batch, batch) {
            Ok(outcomes) => {
                self.running = Some(running);
                Ok(Ok(outcomes))
            }
            Err(bad) => {
                let reason = running.blame(bad.reason);
                if bad.in_step {
                    self.running = Some(running);
                }
                Ok(Err(NoAnswer::Bad(reason)))
            }
        }
    }
}

impl Reward for ProcessReward {
    fn name(&self) -> &str {
        &self.name
    }

    /// Outcomes are all failures, with the same reason, if the process has no answer for the batch
    /// even after `max_restarts` restarts, or one that cannot be trusted.
    ///
    /// # Errors
    /// The program cannot be started; two ids are the same.
    fn score(&mut self, batch: &[Completion<'_>]) -> Result<Vec<Outcome>, Error> {
        let Some(request) = next_request(&mut self.batch, batch)? else { return Ok(Vec::new()) };
        let (name, log) = (self.name.clone(), self.log.clone());
        let attempts = Attempts {
            reward: &name,
            log: &log,
            again: self.settings.max_restarts,
            called: ["restart", "restarts"],
        };
        attempts.run(batch.len(), || self.attempt(request.clone(), batch))
    }
}
