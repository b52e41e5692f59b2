use std::path::Path;

use serde_json::Value;

use crate::countdown::{self, CountdownProblem};
use crate::gsm8k::{self, Gsm8kProblem};
use crate::math::{self, MathProblem};
use crate::sudoku::{self, SudokuProblem};
use crate::{Problem, TaskError, TaskName};

/// Reads a data set file of `task`.
///
/// Each task's own `read` function says which formats it takes; all of them take the rows written by
/// [`Problem::record`].
///
/// # Errors
/// The file cannot be read, or a row (named by its line) is not a problem of this task.
pub fn read_problems(task: TaskName, path: &Path) -> Result<Vec<Box<dyn Problem>>, TaskError> {
    fn boxed<P: Problem + 'static>(problems: Vec<P>) -> Vec<Box<dyn Problem>> {
        problems.into_iter().map(|problem| Box::new(problem) as Box<dyn Problem>).collect()
    }
    Ok(match task {
        TaskName::Sudoku => boxed(SudokuProblem::read(path)?),
        TaskName::Countdown => boxed(CountdownProblem::read(path)?),
        TaskName::Gsm8k => boxed(Gsm8kProblem::read(path)?),
        TaskName::Math => boxed(MathProblem::read(path)?),
    })
}

/// The problem of one row of a JSONL data set of `task`, as [`read_problems`] takes it.
///
/// # Errors
/// [`TaskError::Field`] and others where the row is no problem of this task.
pub fn problem_from_row(task: TaskName, row: &Value) -> Result<Box<dyn Problem>, TaskError> {
    Ok(match task {
        TaskName::Sudoku => Box::new(sudoku::from_row(row)?),
        TaskName::Countdown => Box::new(countdown::from_row(row)?),
        TaskName::Gsm8k => Box::new(gsm8k::from_row(row)?),
        TaskName::Math => Box::new(math::from_row(row)?),
    })
}
