//! 4x4 Sudoku: 16 cells, digits 1-4 once in every row, column and 2x2 box.

mod extract;
mod generate;
mod grid;
mod problem;
mod read;
mod split;

pub use generate::generate;
pub use grid::{Grid, all_grids, count_solutions, is_solved};
pub use problem::SudokuProblem;
pub(crate) use read::{cells, from_row};
pub use split::{GridSplit, split_grids};
