use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::TaskError;

/// The tasks this crate can grade.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskName {
    /// 4x4 Sudoku.
    Sudoku,
    /// Reach a target with given numbers and the four operations.
    Countdown,
    /// Grade-school word problems.
    Gsm8k,
    /// Competition mathematics with LaTeX answers.
    Math,
}

impl TaskName {
    /// Every task, in the order of the paper's variants.
    pub const ALL: [Self; 4] = [Self::Sudoku, Self::Countdown, Self::Gsm8k, Self::Math];

    const NAMES: [&'static str; 4] = ["sudoku", "countdown", "gsm8k", "math"];

    /// Other names that people know a task by.
    pub const ALIASES: [(&'static str, Self); 1] = [("math500", Self::Math)];
}

/// Whose idea of a correct answer counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// The scoring of the d1 paper's released code, quirk for quirk, so that published tables can be
    /// compared with.
    D1,
    /// What a careful reader would count: one clear answer, checked exactly.
    Strict,
    /// What a forgiving reader would count: whatever `strict` takes, and where the answer is not in
    /// the form that was asked for, the last thing that could be one.
    Flexible,
}

impl Profile {
    /// All profiles.
    pub const ALL: [Self; 3] = [Self::D1, Self::Strict, Self::Flexible];

    const NAMES: [&'static str; 3] = ["d1", "strict", "flexible"];
}

impl fmt::Display for TaskName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(Self::NAMES[*self as usize])
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(Self::NAMES[*self as usize])
    }
}

impl FromStr for TaskName {
    type Err = TaskError;

    fn from_str(text: &str) -> Result<Self, TaskError> {
        let alias = Self::ALIASES.iter().find(|(alias, _)| *alias == text);
        match alias {
            Some((_, task)) => Ok(*task),
            None => find("task", text, &Self::NAMES).map(|i| Self::ALL[i]),
        }
    }
}

impl FromStr for Profile {
    type Err = TaskError;

    fn from_str(text: &str) -> Result<Self, TaskError> {
        find("profile", text, &Self::NAMES).map(|i| Self::ALL[i])
    }
}

fn find(
    kind: &'static str,
    text: &str,
    names: &'static [&'static str],
) -> Result<usize, TaskError> {
    names.iter().position(|name| *name == text).ok_or_else(|| TaskError::UnknownName {
        kind,
        found: text.to_owned(),
        expected: names,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for task in TaskName::ALL {
            assert_eq!(task.to_string().parse::<TaskName>().unwrap(), task);
            assert_eq!(serde_json::to_value(task).unwrap(), task.to_string());
        }
        for profile in Profile::ALL {
            assert_eq!(profile.to_string().parse::<Profile>().unwrap(), profile);
            assert_eq!(serde_json::to_value(profile).unwrap(), profile.to_string());
        }
    }

    #[test]
    fn an_alias_is_the_task() {
        assert_eq!("math500".parse::<TaskName>().unwrap(), TaskName::Math);
        for (alias, _) in TaskName::ALIASES {
            assert!(!TaskName::NAMES.contains(&alias));
        }
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_valid_ones() {
        let error = "gsm".parse::<TaskName>().unwrap_err().to_string();
        assert_eq!(error, "unknown task \"gsm\": expected one of sudoku, countdown, gsm8k, math");
        let error = "D1".parse::<Profile>().unwrap_err().to_string();
        assert_eq!(error, "unknown profile \"D1\": expected one of d1, strict, flexible");
    }
}
