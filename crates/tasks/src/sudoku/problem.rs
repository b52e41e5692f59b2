use serde_json::{Value, json};

use super::Grid;
use super::extract::d1_solution;
use super::grid::{digits, parse_digits, solves};
use crate::extract::{OnlyAnswer, before_end, final_answer, last_answer_block, only_answer};
use crate::{Grade, Outcome, Problem, Profile, PromptStyle, TaskError, TaskName, prompt};

/// A puzzle and one solution of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SudokuProblem {
    givens: Grid,
    solution: Grid,
}

impl SudokuProblem {
    /// Checks that `solution` is complete, obeys the rules and keeps the givens (0 = empty).
    ///
    /// # Errors
    /// [`TaskError::NotASolution`] otherwise.
    pub fn new(givens: Grid, solution: Grid) -> Result<Self, TaskError> {
        if solves(&solution, &givens) {
            return Ok(Self { givens, solution });
        }
        let text = |grid: &Grid| grid.iter().map(u8::to_string).collect();
        Err(TaskError::NotASolution { givens: text(&givens), solution: text(&solution) })
    }

    /// The cells shown, 0 = empty.
    pub fn givens(&self) -> &Grid {
        &self.givens
    }

    /// The solution that d1's profile and reward compare with; there may be others.
    pub fn solution(&self) -> &Grid {
        &self.solution
    }

    /// (Empty cells where `written` has the solution's digit, empty cells). Missing cells are wrong.
    fn cells_right(&self, written: impl Iterator<Item = char>) -> (usize, usize) {
        let mut written = written.map(Some).chain(std::iter::repeat(None));
        let (mut right, mut empty) = (0, 0);
        for (given, digit) in self.givens.iter().zip(&self.solution) {
            let cell = written.next().flatten();
            if *given == 0 {
                empty += 1;
                right += usize::from(cell == Some(char::from(b'0' + digit)));
            }
        }
        (right, empty)
    }

    /// Cell by cell against the one stored solution; whether givens were kept does not matter.
    fn grade_d1(&self, completion: &str) -> Grade {
        let answer = d1_solution(completion);
        let (right, empty) = self.cells_right(answer.as_deref().unwrap_or("").chars());
        let verdict = match &answer {
            None => Outcome::NoAnswer,
            Some(_) if right == empty => Outcome::Correct,
            Some(_) => Outcome::Wrong,
        };
        Grade::partial(answer, verdict, right, empty)
    }

    /// One answer of sixteen digits 1-4 (blanks between them are fine) that solves the puzzle,
    /// whether or not it is the stored solution.
    fn grade_strict(&self, completion: &str) -> Grade {
        let answer = match only_answer(completion) {
            OnlyAnswer::Missing => return Grade::whole(None, Outcome::NoAnswer),
            OnlyAnswer::Several => return Grade::whole(None, Outcome::Wrong),
            OnlyAnswer::One(answer) => answer,
        };
        let compact: String = answer.chars().filter(|c| !c.is_whitespace()).collect();
        Grade::whole(Some(answer.to_owned()), self.verdict(&compact))
    }

    /// What strict takes; else the digits of the last answer of several whatever stands between them,
    /// or the last word of sixteen digits.
    fn grade_flexible(&self, completion: &str) -> Grade {
        let strict = self.grade_strict(completion);
        if strict.verdict == Outcome::Correct {
            return strict;
        }
        let word = || {
            let mut words = before_end(completion).split(|c: char| !c.is_ascii_digit());
            words.rfind(|word| word.len() == 16)
        };
        let Some(answer) = final_answer(completion).or_else(word) else {
            return Grade::whole(None, Outcome::NoAnswer);
        };
        let digits: String = answer.chars().filter(char::is_ascii_digit).collect();
        Grade::whole(Some(answer.to_owned()), self.verdict(&digits))
    }

    fn verdict(&self, digits: &str) -> Outcome {
        match parse_digits(digits).is_some_and(|grid| solves(&grid, &self.givens)) {
            true => Outcome::Correct,
            false => Outcome::Wrong,
        }
    }
}

impl Problem for SudokuProblem {
    fn task(&self) -> TaskName {
        TaskName::Sudoku
    }

    fn prompt(&self, style: PromptStyle) -> String {
        let givens = digits(&self.givens);
        match style {
            PromptStyle::D1 => prompt::with_format(&format!(
                "Solve this 4x4 Sudoku. It is given as 16 characters, row by row from the top left, \
                 where 0 is an empty cell. Every row, every column and every 2x2 box must contain each \
                 of the digits 1, 2, 3 and 4 exactly once. Answer with the complete grid: 16 digits \
                 from 1 to 4 without spaces.\n\n\
                 Solve the following Sudoku puzzle: {givens}\n"
            )),
            PromptStyle::Compact => {
                let spaced: String = givens.chars().flat_map(|digit| [digit, ' ']).collect();
                format!("sudoku {spaced}:")
            }
        }
    }

    fn grade(&self, completion: &str, profile: Profile) -> Grade {
        match profile {
            Profile::D1 => self.grade_d1(completion),
            Profile::Strict => self.grade_strict(completion),
            Profile::Flexible => self.grade_flexible(completion),
        }
    }

    /// The share of empty cells where the digits of the last `<answer>` block, cut to sixteen, agree
    /// with the stored solution; 0 without a block or without empty cells.
    fn reward(&self, completion: &str) -> f64 {
        let answer = last_answer_block(completion).unwrap_or("");
        let (right, empty) = self.cells_right(answer.chars().filter(char::is_ascii_digit));
        if empty == 0 { 0.0 } else { right as f64 / empty as f64 }
    }

    fn family(&self) -> String {
        digits(&self.solution)
    }

    fn question_and_gold(&self) -> (String, Value) {
        (digits(&self.givens), json!(digits(&self.solution)))
    }

    fn record(&self) -> Value {
        json!({
            "task": TaskName::Sudoku,
            "prompt": self.prompt(PromptStyle::D1),
            "puzzle": digits(&self.givens),
            "solution": digits(&self.solution),
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    /// Row 1 of d1's test file.
    fn row_1() -> SudokuProblem {
        let cells = |text| parse_digits(text).unwrap();
        SudokuProblem::new(cells("3102200002100320"), cells("3142243142131324")).unwrap()
    }

    #[test]
    fn rewards_of_row_1() {
        let problem = row_1();
        let reward = |answer: &str| problem.reward(&format!("<answer>\n{answer}\n</answer>"));
        assert_eq!(reward("3142243142131324"), 1.0);
        assert_eq!(reward("3 1 4 2|2 4 3 1|4 2 1 3|1 3 2 4"), 1.0);
        assert_eq!(reward("3102200002100320"), 0.0);
        // The first eight cells hold four of the eight empties.
        assert_eq!(reward("31422431"), 0.5);
        assert_eq!(reward("31422431421313249999"), 1.0);
        assert_eq!(problem.reward("3142243142131324"), 0.0);
    }

    #[test]
    fn d1_counts_cells_and_ignores_overwritten_givens() {
        let grade = row_1().grade("<answer>0042243140010004</answer>", Profile::D1);
        assert_eq!(grade.credit.possible, 8.0);
        assert_eq!(grade.verdict, Outcome::Wrong);
        let overwritten = "0040043140030004";
        let full = row_1().grade(&format!("<answer>{overwritten}</answer>"), Profile::D1);
        assert_eq!(
            row_1().grade(&format!("<answer>{overwritten}</answer>"), Profile::Strict).verdict,
            Outcome::Wrong
        );
        assert!(full.score > 0.0);
        assert_eq!(row_1().grade("none", Profile::D1).verdict, Outcome::NoAnswer);
    }

    #[test]
    fn strict_takes_any_solution_but_only_one_answer() {
        // Two solutions: columns 1-2 of rows 1-2 against rows 3-4 are free.
        let cells = |text| parse_digits(text).unwrap();
        let problem =
            SudokuProblem::new(cells("1200340000000000"), cells("1234341221434321")).unwrap();
        let other = "<answer>1234341223414123</answer>";
        assert_eq!(problem.grade(other, Profile::Strict).verdict, Outcome::Correct);
        assert_eq!(problem.grade(other, Profile::D1).verdict, Outcome::Wrong);
        let twice = format!("{other}{other}");
        assert_eq!(problem.grade(&twice, Profile::Strict).verdict, Outcome::Wrong);
        let changed_given = "<answer>2134341212434321</answer>";
        assert_eq!(problem.grade(changed_given, Profile::Strict).verdict, Outcome::Wrong);
        assert_eq!(problem.grade("<answer>12343412", Profile::Strict).verdict, Outcome::NoAnswer);
    }

    #[test]
    fn flexible_takes_the_last_grid_in_any_layout() {
        let verdict = |text: &str, profile| row_1().grade(text, profile).verdict;
        for (text, strict, flexible) in [
            ("<answer>3142243142131324</answer>", Outcome::Correct, Outcome::Correct),
            ("<answer>3142|2431|4213|1324</answer>", Outcome::Wrong, Outcome::Correct),
            (
                "<answer>1</answer><answer>3142243142131324</answer>",
                Outcome::Wrong,
                Outcome::Correct,
            ),
            ("so 3142243142131324.", Outcome::NoAnswer, Outcome::Correct),
            ("so 3142243142131323.", Outcome::NoAnswer, Outcome::Wrong),
            ("none", Outcome::NoAnswer, Outcome::NoAnswer),
        ] {
            assert_eq!(verdict(text, Profile::Strict), strict, "{text}");
            assert_eq!(verdict(text, Profile::Flexible), flexible, "{text}");
        }
    }

    #[test]
    fn a_wrong_solution_is_refused() {
        let error = SudokuProblem::new([0; 16], [1; 16]).unwrap_err();
        assert!(matches!(error, TaskError::NotASolution { .. }));
    }

    #[test]
    fn the_compact_prompt_is_one_token_a_cell() {
        assert_eq!(
            row_1().prompt(PromptStyle::Compact),
            "sudoku 3 1 0 2 2 0 0 0 0 2 1 0 0 3 2 0 :"
        );
        assert!(row_1().prompt(PromptStyle::D1).contains("Sudoku puzzle: 3102200002100320\n"));
    }
}
