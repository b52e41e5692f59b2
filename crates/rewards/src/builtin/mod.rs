//! Rewards that need nothing from outside.

mod accuracy;
mod format;
mod length;
mod regex;
mod text_reward;

pub(crate) use accuracy::{Accuracy, AccuracyRule};
pub(crate) use format::FormatRule;
pub(crate) use length::LengthRule;
pub(crate) use regex::RegexRule;
pub(crate) use text_reward::TextReward;
