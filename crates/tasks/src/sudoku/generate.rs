use afterthought_random::Stream;

use super::grid::count_solutions;
use super::{Grid, SudokuProblem};
use crate::TaskError;

/// Grids tried before giving up: ample, as even 12 empty cells (the most possible, since four givens
/// are needed) take only a few.
const TRIES: usize = 2000;

/// A puzzle with exactly `empties` empty cells and exactly one solution, taken from `grids`.
///
/// Cells are emptied in random order, skipping those whose loss would admit a second solution.
///
/// # Errors
/// [`TaskError::NoUniquePuzzle`] if `grids` is empty, `empties` is above 12, or no grid tried could
/// be emptied that far.
pub fn generate(
    stream: &mut Stream,
    grids: &[Grid],
    empties: usize,
) -> Result<SudokuProblem, TaskError> {
    let tries = if grids.is_empty() || empties > 12 { 0 } else { TRIES };
    for _ in 0..tries {
        let solution = *stream.choose(grids);
        if let Some(givens) = dig(stream, &solution, empties) {
            return SudokuProblem::new(givens, solution);
        }
    }
    Err(TaskError::NoUniquePuzzle { empties, tries })
}

fn dig(stream: &mut Stream, solution: &Grid, empties: usize) -> Option<Grid> {
    let mut givens = *solution;
    let mut order: [usize; 16] = std::array::from_fn(|cell| cell);
    stream.shuffle(&mut order);
    let mut left = empties;
    for cell in order {
        if left == 0 {
            break;
        }
        givens[cell] = 0;
        if count_solutions(&givens, 2) == 1 {
            left -= 1;
        } else {
            givens[cell] = solution[cell];
        }
    }
    (left == 0).then_some(givens)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::super::all_grids;
    use super::*;

    #[test]
    fn puzzles_have_the_empties_asked_for_and_one_solution() {
        let grids = all_grids();
        for empties in 0..=12 {
            let mut stream = Stream::new(3, "sudoku", empties as u64, 0);
            let problem = generate(&mut stream, &grids, empties).unwrap();
            assert_eq!(problem.givens().iter().filter(|&&digit| digit == 0).count(), empties);
            assert_eq!(count_solutions(problem.givens(), 2), 1);
        }
    }

    #[test]
    fn impossible_requests_are_errors() {
        let mut stream = Stream::new(3, "sudoku", 0, 0);
        for (grids, empties) in [(all_grids(), 13), (Vec::new(), 4)] {
            let error = generate(&mut stream, &grids, empties).unwrap_err();
            assert!(matches!(error, TaskError::NoUniquePuzzle { tries: 0, .. }), "{error}");
        }
    }
}
