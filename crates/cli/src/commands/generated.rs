//! Problems made to order: the parts of a task's problem space never overlap.

use std::ops::RangeInclusive;

use afterthought_random::Stream;
use afterthought_tasks::countdown::{CountdownSettings, Part, generate, part_of};
use afterthought_tasks::sudoku::{GridSplit, split_grids};
use afterthought_tasks::writers::{CountdownWriter, SudokuWriter, Writer};
use afterthought_tasks::{Problem, TaskError};

use crate::args::{GeneratedTask, Split};
use crate::exit::UsageError;

/// Empty cells of a Sudoku when nobody says; as in the laptop recipe, so that what `reproduce`
/// trains meets the problems it was trained for.
const EMPTIES: usize = 6;
/// Most empty cells that leave a 4x4 Sudoku with one solution.
const MOST_EMPTIES: usize = 12;
/// Numbers of a Countdown problem when nobody says; also the count that laptop-sized problems have.
const NUMBERS: usize = 3;
/// Targets of laptop-sized Countdown problems, whose numbers are 1-10; as in the laptop recipe.
const TARGETS: RangeInclusive<u64> = 10..=50;

/// What problems to make.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    pub(crate) task: GeneratedTask,
    pub(crate) split: Split,
    /// Sudoku: empty cells.
    pub(crate) empties: Option<usize>,
    /// Countdown: numbers.
    pub(crate) numbers: Option<usize>,
    pub(crate) seed: u64,
}

/// Makes `count` problems; problem `i` depends on the request and `i` alone, so that a longer list
/// begins with a shorter one.
///
/// # Errors
/// A usage error for a request that describes no problem.
pub(crate) fn problems(wanted: &Wanted, count: usize) -> anyhow::Result<Vec<Box<dyn Problem>>> {
    let source = source(wanted)?;
    (0..count as u64)
        .map(|sample| {
            let mut stream = Stream::new(wanted.seed, "problems", wanted.split as u64, sample);
            Ok(source(&mut stream)?)
        })
        .collect()
}

type Source = Box<dyn Fn(&mut Stream) -> Result<Box<dyn Problem>, TaskError>>;

fn source(wanted: &Wanted) -> Result<Source, UsageError> {
    let part = part(wanted.split);
    match (wanted.task, wanted.empties, wanted.numbers) {
        (GeneratedTask::Sudoku, _, Some(_)) => {
            Err(UsageError::new("--numbers belongs to countdown, not to sudoku"))
        }
        (GeneratedTask::Countdown, Some(_), _) => {
            Err(UsageError::new("--empties belongs to sudoku, not to countdown"))
        }
        (GeneratedTask::Sudoku, empties, None) => {
            let empties = empties.unwrap_or(EMPTIES);
            if empties == 0 || empties > MOST_EMPTIES {
                let message = format!("--empties is {empties}");
                let hint = format!("a 4x4 Sudoku has 1 to {MOST_EMPTIES} empty cells");
                return Err(UsageError::new(message).hint(hint));
            }
            let GridSplit { train, validation, test } = split_grids(0);
            let grids = match wanted.split {
                Split::Train => train,
                Split::Validation => validation,
                Split::Test => test,
            };
            let writer = SudokuWriter { grids, empties: empties..=empties };
            Ok(Box::new(move |stream| writer.problem(stream)))
        }
        (GeneratedTask::Countdown, None, None | Some(NUMBERS)) => {
            let writer = CountdownWriter { targets: TARGETS, part };
            Ok(Box::new(move |stream| writer.problem(stream)))
        }
        (GeneratedTask::Countdown, None, Some(count)) => {
            if !(2..=6).contains(&count) {
                let message = format!("--numbers is {count}");
                return Err(UsageError::new(message).hint("countdown has 2 to 6 numbers"));
            }
            let settings = CountdownSettings { count, ..CountdownSettings::default() };
            Ok(Box::new(move |stream| {
                loop {
                    let (problem, _) = generate(stream, &settings)?;
                    if part_of(problem.numbers(), problem.target()) == part {
                        return Ok(Box::new(problem));
                    }
                }
            }))
        }
    }
}

fn part(split: Split) -> Part {
    match split {
        Split::Train => Part::Train,
        Split::Validation => Part::Validation,
        Split::Test => Part::Test,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn wanted(task: GeneratedTask, split: Split, numbers: Option<usize>) -> Wanted {
        Wanted { task, split, empties: None, numbers, seed: 7 }
    }

    #[test]
    fn parts_share_no_solution_and_no_problem() {
        for (task, numbers, key) in [
            (GeneratedTask::Sudoku, None, "solution"),
            (GeneratedTask::Countdown, None, "prompt"),
            (GeneratedTask::Countdown, Some(4), "prompt"),
        ] {
            let keys = |split| -> BTreeSet<String> {
                let problems = problems(&wanted(task, split, numbers), 300).unwrap();
                problems.iter().map(|problem| problem.record()[key].to_string()).collect()
            };
            let [train, validation, test] =
                [Split::Train, Split::Validation, Split::Test].map(keys);
            assert!(train.is_disjoint(&test) && train.is_disjoint(&validation));
            assert!(validation.is_disjoint(&test) && test.len() > 40);
        }
    }

    #[test]
    fn the_defaults_are_those_of_the_laptop_recipe() {
        let recipe = include_str!("../../../../recipes/d1/laptop.toml");
        let recipe: toml::Value = toml::from_str(recipe).unwrap();
        assert_eq!(recipe["sudoku"]["empties"].as_integer(), Some(EMPTIES as i64));
        let targets = recipe["countdown"]["targets"].as_array().unwrap();
        let ends: Vec<i64> = targets.iter().map(|end| end.as_integer().unwrap()).collect();
        assert_eq!(ends, [*TARGETS.start() as i64, *TARGETS.end() as i64]);
    }

    #[test]
    fn a_longer_list_begins_with_the_shorter_one() {
        let wanted = wanted(GeneratedTask::Countdown, Split::Test, Some(5));
        let records = |count| -> Vec<_> {
            let problems = problems(&wanted, count).unwrap();
            problems.iter().map(|problem| problem.record()).collect()
        };
        assert_eq!(records(3), records(8)[..3]);
        assert_eq!(records(1)[0]["numbers"].as_array().unwrap().len(), 5);
    }
}
