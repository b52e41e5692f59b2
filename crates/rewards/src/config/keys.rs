use std::fmt;

use serde::{Deserialize, Serialize};

/// The kinds of reward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RewardKind {
    /// Whether a task's grader finds the answer right.
    Accuracy,
    /// Whether the completion keeps to `<reasoning>..</reasoning> <answer>..</answer>`.
    Format,
    /// Whether its length is within a range.
    Length,
    /// Whether a regular expression matches.
    Regex,
    /// What a process of the user's says.
    Process,
    /// What an HTTP endpoint says.
    Http,
}

impl RewardKind {
    /// All kinds.
    pub const ALL: [Self; 6] =
        [Self::Accuracy, Self::Format, Self::Length, Self::Regex, Self::Process, Self::Http];

    const NAMES: [&'static str; 6] = ["accuracy", "format", "length", "regex", "process", "http"];

    /// The keys that only some kinds have and this one does.
    pub(crate) fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Accuracy => &["task", "profile", "answer_column", "correct", "wrong"],
            Self::Format => &["style", "tags", "value", "otherwise"],
            Self::Length => &["unit", "min", "max", "margin", "value", "otherwise"],
            Self::Regex => &["pattern", "value", "otherwise"],
            Self::Process => &[
                "command",
                "working_dir",
                "env",
                "timeout_s",
                "max_restarts",
                "max_response_bytes",
            ],
            Self::Http => &["url", "header_env", "timeout_s", "max_retries", "max_response_bytes"],
        }
    }
}

impl fmt::Display for RewardKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(Self::NAMES[*self as usize])
    }
}

/// What happens to completions that a reward fails for. They are counted in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// The batch is not scored.
    #[default]
    Error,
    /// They get 0 from this reward.
    Zero,
    /// They get nothing from this reward, as if it did not apply.
    Skip,
}

/// What a completion of good form is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FormatStyle {
    /// The two blocks in their order, each tag once, and nothing but white space around them.
    #[default]
    Exact,
    /// The two blocks in their order somewhere, whatever else there is.
    Soft,
    /// A quarter for each of the four tags that occurs exactly once.
    Tags,
}

/// What the length of a completion is counted in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LengthUnit {
    /// Unicode scalar values.
    #[default]
    Characters,
    /// Runs of anything but white space.
    Words,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_written_as_they_are_shown() {
        for kind in RewardKind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.to_string());
        }
    }
}
