//! A reward that is an HTTP endpoint of the user's.

mod http_reward;
mod settings;

pub(crate) use http_reward::HttpReward;
pub(crate) use settings::HttpSettings;
