use std::thread;
use std::time::Duration;

use crate::{Error, Log, Outcome};

/// Why an attempt at a batch brought no rewards.
#[derive(Debug)]
pub(crate) enum NoAnswer {
    /// There was no answer; another attempt may bring one.
    Lost {
        /// What happened.
        reason: String,
        /// For how long the other side asks to be left alone.
        wait: Option<Duration>,
    },
    /// There was one that cannot be trusted, and the next would be no better.
    Bad(String),
}

impl NoAnswer {
    pub(crate) fn lost(reason: String) -> Self {
        Self::Lost { reason, wait: None }
    }
}

/// How often a batch is tried again, and what that is called.
pub(crate) struct Attempts<'a> {
    pub(crate) reward: &'a str,
    pub(crate) log: &'a Log,
    /// After the first attempt.
    pub(crate) again: u32,
    /// `restart` or `retry`, and the same for several.
    pub(crate) called: [&'static str; 2],
}

impl Attempts<'_> {
    /// Outcomes for a batch of `completions`: those of the first attempt that brings any, or else
    /// failures, all with the reason of the last.
    pub(crate) fn run(
        &self,
        completions: usize,
        mut attempt: impl FnMut() -> Result<Result<Vec<Outcome>, NoAnswer>, Error>,
    ) -> Result<Vec<Outcome>, Error> {
        let mut made = 0;
        let reason = loop {
            match attempt()? {
                Ok(outcomes) => return Ok(outcomes),
                Err(NoAnswer::Bad(reason)) => break reason,
                Err(NoAnswer::Lost { reason, .. }) if made == self.again => {
                    let [one, several] = self.called;
                    break match made {
                        0 => reason,
                        1 => format!("{reason} (after 1 {one})"),
                        _ => format!("{reason} (after {made} {several})"),
                    };
                }
                Err(NoAnswer::Lost { reason, wait }) => {
                    self.log.line(self.reward, &format!("{}: {reason}", self.called[0]));
                    thread::sleep(pause(made).max(wait.unwrap_or_default().min(LONGEST_WAIT)));
                    made += 1;
                }
            }
        };
        self.log.line(self.reward, &format!("no rewards for a batch of {completions}: {reason}"));
        Ok(vec![Outcome::Failed(reason); completions])
    }
}

/// The longest time that another side gets for the asking.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// How long to wait before trying again after `made` attempts: 0.1 s, doubled each time, at most 5 s.
fn pause(made: u32) -> Duration {
    const FIRST: Duration = Duration::from_millis(100);
    const LONGEST: Duration = Duration::from_secs(5);
    FIRST.saturating_mul(2_u32.saturating_pow(made)).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_bound() {
        let pauses = [0, 1, 5, 6, 100].map(|made| pause(made).as_millis());
        assert_eq!(pauses, [100, 200, 3200, 5000, 5000]);
    }
}
