//! What is a completion worth, when the user says so?
//!
//! A [`Reward`] scores a batch of [`Completion`]s. Some are built in (`accuracy`, `format`, `length`,
//! `regex`); others live outside: a process that speaks JSON lines, or an HTTP endpoint. Neither
//! needs this program to be compiled again. A [`RewardConfig`] is what a recipe says about one of
//! them, and [`WeightedRewards`] is the sum over all of a recipe.
//!
//! A reward that fails for a completion is an [`Outcome::Failed`] with its reason. What happens then
//! is the recipe's choice ([`OnFailure`]); a value is never guessed and never spread over others.
//! Outcomes are matched to completions by id, not by position.
//!
//! ```
//! use afterthought_rewards::{Completion, RewardConfig, RewardKind, WeightedRewards};
//!
//! let config = RewardConfig {
//!     pattern: Some(r"\d+\z".to_owned()),
//!     ..RewardConfig::new(RewardKind::Regex)
//! };
//! let mut rewards = WeightedRewards::build(&[config], std::path::Path::new("."))?;
//! let columns = serde_json::Map::new();
//! let completion = |id, text| Completion { id, prompt: "2+2?", text, columns: &columns };
//! let scored = rewards.score(&[completion(0, "it is 4"), completion(1, "four")])?;
//! assert_eq!(scored.totals, [1.0, 0.0]);
//! # Ok::<(), afterthought_rewards::Error>(())
//! ```

mod attempts;
mod builtin;
mod check;
mod completion;
mod config;
mod error;
mod http;
mod log;
mod outcome;
mod process;
mod protocol;
mod reward;
mod shown;
mod weighted;

pub use check::{Checked, check};
pub use completion::Completion;
pub use config::{ConfigProblem, FormatStyle, LengthUnit, OnFailure, RewardConfig, RewardKind};
pub use error::Error;
pub use log::{Log, LogLine};
pub use outcome::Outcome;
pub use reward::Reward;
pub use weighted::{Part, Scored, WeightedReward, WeightedRewards};
