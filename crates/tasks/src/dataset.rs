use std::path::Path;

use crate::countdown::CountdownProblem;
use crate::gsm8k::Gsm8kProblem;
use crate::math::MathProblem;
use crate::sudoku::SudokuProblem;
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
