use std::path::PathBuf;

use thiserror::Error;

use crate::countdown::ExpressionError;

/// What can go wrong while reading, generating or rebuilding problems.
///
/// A wrong or malformed *model answer* is never an error: it is a [`crate::Grade`].
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TaskError {
    /// A name that the program does not know.
    #[error("unknown {kind} {found:?}: expected one of {}", expected.join(", "))]
    UnknownName {
        /// What was being named, e.g. `"task"`.
        kind: &'static str,
        /// The name as given.
        found: String,
        /// The names that would have been accepted.
        expected: &'static [&'static str],
    },
    /// A file could not be opened or read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// One row of a file is not a problem of the expected kind.
    #[error("{}:{line}: malformed row", path.display())]
    Row {
        /// The file.
        path: PathBuf,
        /// One-based line number.
        line: u64,
        /// What is wrong with the row.
        source: Box<TaskError>,
    },
    /// One item of a generations file is malformed.
    #[error("{}: item {item}: malformed generation", path.display())]
    Item {
        /// The file.
        path: PathBuf,
        /// Zero-based position in the `generations` array.
        item: usize,
        /// What is wrong with the item.
        source: Box<TaskError>,
    },
    /// Text that is not JSON.
    #[error("not valid JSON")]
    Json(#[from] serde_json::Error),
    /// Text that is not CSV.
    #[error("not valid CSV")]
    Csv(#[from] csv::Error),
    /// A column is missing or holds something else than it should.
    #[error("`{key}`: expected {expected}, found {actual}")]
    Field {
        /// The column or key.
        key: String,
        /// What belongs there.
        expected: &'static str,
        /// What is there, shortened.
        actual: String,
    },
    /// A Sudoku whose solution does not solve its givens.
    #[error("{solution} does not solve the puzzle {givens}")]
    NotASolution {
        /// The givens, 16 digits, 0 = empty.
        givens: String,
        /// The claimed solution, 16 digits.
        solution: String,
    },
    /// No uniquely solvable Sudoku was found with this many empty cells.
    #[error(
        "no 4x4 Sudoku with {empties} empty cells and one solution after {tries} tries \
         (at most 12 of the 16 cells can be empty)"
    )]
    NoUniquePuzzle {
        /// Empty cells asked for.
        empties: usize,
        /// Grids tried.
        tries: usize,
    },
    /// Countdown settings that describe no problem.
    #[error("countdown `{key}`: expected {expected}, found {actual}")]
    CountdownSettings {
        /// The setting.
        key: &'static str,
        /// What it must be.
        expected: &'static str,
        /// What it is.
        actual: String,
    },
    /// No Countdown problem within the settings was found.
    #[error("no Countdown problem with a target in {low}..={high} after {tries} tries")]
    NoCountdown {
        /// Smallest target allowed.
        low: u64,
        /// Largest target allowed.
        high: u64,
        /// Expressions tried.
        tries: usize,
    },
    /// A list of numbers too long for the exhaustive solver.
    #[error("the exhaustive solver takes at most {limit} numbers, found {found}")]
    TooManyNumbers {
        /// The solver's limit.
        limit: usize,
        /// The length of the list.
        found: usize,
    },
    /// An arithmetic expression that cannot be read or evaluated.
    #[error(transparent)]
    Expression(#[from] ExpressionError),
    /// A few-shot prompt that cannot be made.
    #[error("{wanted} worked examples were asked for: {reason}")]
    FewShot {
        /// Examples asked for.
        wanted: usize,
        /// Why there are not as many.
        reason: String,
    },
    /// A statistic that is undefined for the values given.
    #[error("{statistic}: expected {expected}, found {actual}")]
    Statistic {
        /// The statistic.
        statistic: &'static str,
        /// What it needs.
        expected: &'static str,
        /// What it was given.
        actual: String,
    },
}

impl TaskError {
    /// A [`TaskError::Field`] that quotes at most 80 characters of what was found.
    pub(crate) fn field(
        key: impl Into<String>,
        expected: &'static str,
        actual: impl ToString,
    ) -> Self {
        let mut actual = actual.to_string();
        if let Some((end, _)) = actual.char_indices().nth(80) {
            actual.truncate(end);
            actual.push('…');
        }
        Self::Field { key: key.into(), expected, actual }
    }
}
