use super::{Habit, Writer, Written, in_format};
use crate::sudoku::{Grid, SudokuProblem, generate};
use crate::{Problem, PromptStyle, TaskError};
use afterthought_random::Stream;

/// Writes about 4x4 Sudoku puzzles over a set of solution grids.
///
/// * methodical, plan word `check`: drafts the grid with every cell that row, column and box decide
///   and `x` where they do not, then answers with the solution;
/// * casual, plan word `scan`: drafts cell by cell the smallest digit that is missing in row and
///   column, forgets the boxes, and answers with the draft;
/// * hasty: fills every row with its missing digits in ascending order, ignoring columns and boxes.
#[derive(Clone, Debug)]
pub struct SudokuWriter {
    /// Solution grids that problems are made from.
    pub grids: Vec<Grid>,
    /// Empty cells a puzzle, drawn uniformly from this range.
    pub empties: std::ops::RangeInclusive<usize>,
}

pub(super) fn words() -> Vec<String> {
    let mut words: Vec<String> =
        ["sudoku", ":", "check", "scan", "x"].into_iter().map(ToOwned::to_owned).collect();
    words.extend((0..=4).map(|digit| digit.to_string()));
    words.extend((0..16).flat_map(|cell| (1..=4).map(move |digit| step(cell, digit))));
    words
}

/// `r2c3=4`.
fn step(cell: usize, digit: u8) -> String {
    format!("r{}c{}={digit}", cell / 4 + 1, cell % 4 + 1)
}

fn spaced(grid: &Grid) -> String {
    grid.map(|digit| digit.to_string()).join(" ")
}

/// Digits that stand neither in the row nor the column of an empty cell nor, if `boxes` are looked
/// at, in its box.
fn candidates(grid: &Grid, cell: usize, boxes: bool) -> Vec<u8> {
    let (row, col) = (cell / 4, cell % 4);
    let sees = |other: usize| {
        let (r, c) = (other / 4, other % 4);
        r == row || c == col || (boxes && r / 2 == row / 2 && c / 2 == col / 2)
    };
    (1..=4).filter(|digit| !(0..16).any(|other| sees(other) && grid[other] == *digit)).collect()
}

fn empty_cells(grid: &Grid) -> Vec<usize> {
    (0..16).filter(|cell| grid[*cell] == 0).collect()
}

/// The casual writer's grid: cells in reading order, boxes ignored; a cell without candidates gets
/// 1.
fn casual_grid(givens: &Grid) -> Grid {
    let mut grid = *givens;
    for cell in empty_cells(givens) {
        grid[cell] = candidates(&grid, cell, false).first().copied().unwrap_or(1);
    }
    grid
}

/// The hasty writer's grid: every row completed with its missing digits in ascending order.
fn hasty_grid(givens: &Grid) -> Grid {
    let mut grid = *givens;
    for row in grid.chunks_exact_mut(4) {
        let mut missing = (1..=4).filter(|digit| !row.contains(digit)).collect::<Vec<_>>();
        missing.reverse();
        for cell in row.iter_mut().filter(|cell| **cell == 0) {
            *cell = missing.pop().unwrap_or(1);
        }
    }
    grid
}

/// The grid with every empty cell filled that has a single candidate; 0 where there are several.
fn decided(givens: &Grid) -> Grid {
    let mut grid = *givens;
    for cell in empty_cells(givens) {
        if let [digit] = candidates(givens, cell, true)[..] {
            grid[cell] = digit;
        }
    }
    grid
}

/// The plan word and the draft of a grid, `x` for what is left open.
fn draft(plan: &str, grid: &Grid) -> Vec<String> {
    let cells = grid.iter().map(|digit| match digit {
        0 => "x".to_owned(),
        digit => digit.to_string(),
    });
    std::iter::once(plan.to_owned()).chain(cells).collect()
}

impl SudokuWriter {
    fn draw(&self, stream: &mut Stream) -> Result<SudokuProblem, TaskError> {
        let (low, high) = (*self.empties.start(), *self.empties.end());
        let empties = low + stream.below(high - low + 1);
        generate(stream, &self.grids, empties)
    }
}

impl Writer for SudokuWriter {
    fn problem(&self, stream: &mut Stream) -> Result<Box<dyn Problem>, TaskError> {
        Ok(Box::new(self.draw(stream)?))
    }

    fn corpus(&self, habit: Habit, stream: &mut Stream) -> Result<Written, TaskError> {
        let problem = self.draw(stream)?;
        let (givens, solution) = (problem.givens(), problem.solution());
        let methodical = || draft("check", &decided(givens));
        let completion = match habit {
            Habit::Methodical => in_format(&methodical(), &spaced(solution)),
            Habit::Casual => {
                let grid = casual_grid(givens);
                in_format(&draft("scan", &grid), &spaced(&grid))
            }
            Habit::Hasty => in_format(&[], &spaced(&hasty_grid(givens))),
            Habit::Formless => {
                format!("<reasoning> {} </reasoning> {}", methodical().join(" "), spaced(solution))
            }
        };
        Ok(Written { prompt: problem.prompt(PromptStyle::Compact), completion })
    }

    fn teacher(
        &self,
        methodical: f64,
        correction: f64,
        stream: &mut Stream,
    ) -> Result<Written, TaskError> {
        let problem = self.draw(stream)?;
        let solution = problem.solution();
        let mut reasoning = match stream.chance(methodical) {
            true => draft("check", &decided(problem.givens())),
            false => draft("scan", solution),
        };
        if stream.chance(correction) {
            // One cell of the draft is wrong; it is noticed and put right behind it.
            let cell = *stream.choose(&empty_cells(problem.givens()));
            let wrong: Vec<u8> = (1..=4).filter(|digit| *digit != solution[cell]).collect();
            reasoning[1 + cell] = stream.choose(&wrong).to_string();
            reasoning.extend(["wait".to_owned(), step(cell, solution[cell])]);
        }
        let completion = in_format(&reasoning, &spaced(solution));
        Ok(Written { prompt: problem.prompt(PromptStyle::Compact), completion })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{Outcome, Profile};

    fn writer() -> SudokuWriter {
        SudokuWriter { grids: crate::sudoku::all_grids(), empties: 6..=8 }
    }

    /// Share of right answers and of right cells of a habit.
    fn accuracy(habit: Habit) -> (f64, f64) {
        let writer = writer();
        let (mut exact, mut cells) = (0.0, 0.0);
        for sample in 0..400 {
            // The same stream draws the same problem.
            let problem = writer.draw(&mut Stream::new(1, "test", 0, sample)).unwrap();
            let written = writer.corpus(habit, &mut Stream::new(1, "test", 0, sample)).unwrap();
            assert_eq!(written.prompt, problem.prompt(PromptStyle::Compact));
            exact += f64::from(u8::from(
                problem.grade(&written.completion, Profile::Strict).verdict == Outcome::Correct,
            ));
            cells += problem.reward(&written.completion);
        }
        (exact / 400.0, cells / 400.0)
    }

    #[test]
    fn habits_are_worth_what_they_say() {
        assert_eq!(accuracy(Habit::Methodical), (1.0, 1.0));
        assert_eq!(accuracy(Habit::Formless), (0.0, 0.0));
        let (casual, casual_cells) = accuracy(Habit::Casual);
        let (hasty, hasty_cells) = accuracy(Habit::Hasty);
        assert!(hasty < 0.2 && hasty < casual && casual < 0.8, "{hasty} {casual}");
        assert!(hasty_cells < casual_cells && casual_cells < 0.95, "{hasty_cells} {casual_cells}");
    }

    #[test]
    fn teachers_are_right_and_slips_are_corrected() {
        let writer = writer();
        for sample in 0..200 {
            let problem = writer.draw(&mut Stream::new(2, "test", 0, sample)).unwrap();
            let mut stream = Stream::new(2, "test", 0, sample);
            let written = writer.teacher(0.5, 1.0, &mut stream).unwrap();
            let grade = problem.grade(&written.completion, Profile::Strict);
            assert_eq!(grade.verdict, Outcome::Correct);
            assert!(written.completion.contains(" wait "));
        }
    }
}
