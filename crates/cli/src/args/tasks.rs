//! Names of tasks, profiles and parts, and `grade`.

use std::path::PathBuf;

use afterthought_tasks::{Profile, TaskName};
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};

/// Names of the tasks, for the help; the tasks crate parses them.
const TASKS: [&str; 4] = ["sudoku", "countdown", "gsm8k", "math"];
/// Names of the profiles, for the help; the tasks crate parses them.
const PROFILES: [&str; 3] = ["d1", "strict", "flexible"];

/// Task names and their aliases.
pub(super) fn task_parser() -> impl TypedValueParser<Value = TaskName> {
    let with_aliases = |name: &'static str| {
        let of = |task: &TaskName| task.to_string() == name;
        let aliases = TaskName::ALIASES.iter().filter(move |(_, task)| of(task));
        PossibleValue::new(name).aliases(aliases.map(|(alias, _)| *alias))
    };
    PossibleValuesParser::new(TASKS.map(with_aliases)).try_map(|name| name.parse::<TaskName>())
}

/// Profile names.
fn profile_parser() -> impl TypedValueParser<Value = Profile> {
    PossibleValuesParser::new(PROFILES).try_map(|name| name.parse::<Profile>())
}

/// A part of a task's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Split {
    /// What models learn from.
    Train,
    /// What decisions are made on.
    Validation,
    /// What results are reported on, once.
    Test,
}

impl Split {
    /// As on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Validation => "validation",
            Self::Test => "test",
        }
    }
}

/// `grade`.
#[derive(Debug, Args)]
pub(crate) struct GradeArgs {
    /// The task that the generations answer.
    #[arg(long, value_name = "NAME", value_parser = task_parser())]
    pub(crate) task: TaskName,
    /// How answers are read and judged.
    #[arg(long, value_name = "NAME", value_parser = profile_parser())]
    pub(crate) profile: Profile,
    /// Files of generations, graded together in this order.
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Print one JSON document with a verdict for each item.
    #[arg(long)]
    pub(crate) json: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_names_every_task_and_profile() {
        assert_eq!(TaskName::ALL.map(|task| task.to_string()), TASKS);
        assert_eq!(Profile::ALL.map(|profile| profile.to_string()), PROFILES);
    }
}
