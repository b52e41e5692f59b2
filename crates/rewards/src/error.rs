use std::path::PathBuf;

use crate::ConfigProblem;

/// Why rewards cannot be built or a batch cannot be scored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// What a recipe says about a reward makes no sense: everything that is wrong with it.
    #[error("reward {reward}: {}", .problems.iter().map(ConfigProblem::to_string).collect::<Vec<_>>().join("; "))]
    Config {
        /// Its name.
        reward: String,
        /// Each with its key.
        problems: Vec<ConfigProblem>,
    },
    /// A list of rewards without any.
    #[error("no reward is given")]
    NoRewards,
    /// Two rewards of the same name could not be told apart in the metrics.
    #[error("two rewards are called {name:?}: give them different `name`s")]
    SameName {
        /// The name.
        name: String,
    },
    /// The directory a process should run in is not there.
    #[error("reward {reward}: the working directory {} is not a directory", path.display())]
    WorkingDirectory {
        /// The reward.
        reward: String,
        /// The directory.
        path: PathBuf,
    },
    /// The program of a process reward cannot be started.
    #[error("reward {reward}: cannot start {program:?} ({hint})")]
    Start {
        /// The reward.
        reward: String,
        /// The first word of `command`.
        program: String,
        /// What to do about it.
        hint: &'static str,
        /// The system's reason.
        source: std::io::Error,
    },
    /// An environment variable that should hold a header is not set, or holds no header.
    #[error("reward {reward}: the environment variable {variable} {problem}")]
    Environment {
        /// The reward.
        reward: String,
        /// The variable.
        variable: String,
        /// What is wrong with it. Its value is not shown.
        problem: &'static str,
    },
    /// Two completions of a batch have the same id.
    #[error("two completions of a batch have the id {id}")]
    SameId {
        /// The id.
        id: u64,
    },
    /// A [`Reward`](crate::Reward) broke its contract of one outcome a completion.
    #[error("reward {reward}: expected {expected} outcomes, found {found}")]
    Count {
        /// The reward.
        reward: String,
        /// Completions in the batch.
        expected: usize,
        /// Outcomes.
        found: usize,
    },
    /// A reward failed whose failures are errors (`on_failure = "error"`).
    #[error(
        "reward {reward}: failed for {failed} of {total} completions, first for id {id}: {reason}"
    )]
    Failed {
        /// The reward.
        reward: String,
        /// The first completion it failed for.
        id: u64,
        /// For how many it failed.
        failed: usize,
        /// Completions in the batch.
        total: usize,
        /// Why it failed for the first.
        reason: String,
    },
    /// No reward applies to a completion, so that there is nothing to sum.
    #[error(
        "no reward applies to the completion with id {id}: {} said so of it",
        .rewards.join(", ")
    )]
    NoneApplies {
        /// The completion.
        id: u64,
        /// The rewards.
        rewards: Vec<String>,
    },
    /// The weighted sum overflowed.
    #[error("the weighted sum of the rewards of the completion with id {id} is {total}")]
    Total {
        /// The completion.
        id: u64,
        /// The sum.
        total: f64,
    },
}
