use std::time::{Duration, Instant};

use crate::{Completion, Error, Outcome, Reward};

/// What calling a reward once came to.
#[derive(Debug)]
pub struct Checked {
    /// The reward's name.
    pub name: String,
    /// What it said about the completion, or why it said nothing.
    pub outcome: Result<Outcome, Error>,
    /// How long the call took; for an external process, its start included.
    pub elapsed: Duration,
}

/// Calls a reward for one completion, as a dry run does.
pub fn check(reward: &mut dyn Reward, completion: &Completion<'_>) -> Checked {
    let started = Instant::now();
    let outcome = reward.score(std::slice::from_ref(completion)).and_then(|mut outcomes| {
        let found = outcomes.len();
        match outcomes.pop() {
            Some(outcome) if found == 1 => Ok(outcome.checked()),
            _ => Err(Error::Count { reward: reward.name().to_owned(), expected: 1, found }),
        }
    });
    Checked { name: reward.name().to_owned(), outcome, elapsed: started.elapsed() }
}
