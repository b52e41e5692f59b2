//! What a recipe says about rewards.

mod checks;
mod keys;
mod reward_config;
mod settings;

pub(crate) use checks::Checks;
pub use checks::ConfigProblem;
pub use keys::{FormatStyle, LengthUnit, OnFailure, RewardKind};
pub use reward_config::RewardConfig;
pub(crate) use settings::Settings;
