use std::path::Path;

use serde_json::Value;

use super::grid::parse_digits;
use super::{Grid, SudokuProblem};
use crate::TaskError;
use crate::jsonl::{at_line, read_rows, read_text, text};

impl SudokuProblem {
    /// Reads a data set file.
    ///
    /// `.csv`: a header and rows of (puzzle, solution), d1's layout. Anything else: JSONL with the
    /// columns `puzzle` and `solution` (ours) or `input` and `output` (Dream's, with line breaks
    /// between rows).
    ///
    /// # Errors
    /// The file cannot be read; a row lacks a column, does not hold sixteen digits 0-4, or its
    /// solution does not solve its puzzle.
    pub fn read(path: &Path) -> Result<Vec<Self>, TaskError> {
        if path.extension().is_some_and(|extension| extension == "csv") {
            read_csv(path)
        } else {
            read_rows(path, from_row)
        }
    }
}

pub(crate) fn from_row(row: &Value) -> Result<SudokuProblem, TaskError> {
    let [puzzle, solution] =
        if row.get("puzzle").is_some() { ["puzzle", "solution"] } else { ["input", "output"] };
    SudokuProblem::new(cells(puzzle, text(row, puzzle)?)?, cells(solution, text(row, solution)?)?)
}

fn read_csv(path: &Path) -> Result<Vec<SudokuProblem>, TaskError> {
    let content = read_text(path)?;
    let mut reader = csv::Reader::from_reader(content.as_bytes());
    let mut problems = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| {
            let line = error.position().map_or(0, csv::Position::line);
            at_line(path, line, error.into())
        })?;
        let line = record.position().map_or(0, csv::Position::line);
        let column = |i: usize| record.get(i).unwrap_or("");
        let problem = cells("Puzzle", column(0))
            .and_then(|givens| SudokuProblem::new(givens, cells("Solution", column(1))?))
            .map_err(|error| at_line(path, line, error))?;
        problems.push(problem);
    }
    Ok(problems)
}

/// Sixteen digits, white space between them allowed.
pub(crate) fn cells(key: &str, value: &str) -> Result<Grid, TaskError> {
    let compact: String = value.chars().filter(|c| !c.is_whitespace()).collect();
    parse_digits(&compact).ok_or_else(|| TaskError::field(key, "sixteen digits 0-4", value))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use std::fs;

    use super::*;
    use crate::Problem;

    fn read(name: &str, content: &str) -> Result<Vec<SudokuProblem>, TaskError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        SudokuProblem::read(&path)
    }

    #[test]
    fn all_three_layouts_agree() {
        let csv = read("a.csv", "Puzzle,Solution\n3102200002100320,3142243142131324\n").unwrap();
        let dream = r#"{"input": "3102\n2000\n0210\n0320", "output": "3142\n2431\n4213\n1324"}"#;
        assert_eq!(read("a.jsonl", dream).unwrap(), csv);
        assert_eq!(read("b.jsonl", &csv[0].record().to_string()).unwrap(), csv);
    }

    #[test]
    fn errors_name_the_line_and_the_column() {
        let error =
            read("a.csv", "Puzzle,Solution\n3102200002100320,314224314213132\n").unwrap_err();
        let TaskError::Row { line: 2, source, .. } = error else { panic!("{error}") };
        assert!(
            matches!(*source, TaskError::Field { ref key, .. } if key == "Solution"),
            "{source}"
        );
        let error = read("a.jsonl", "{\"input\": \"0\"}\n").unwrap_err();
        assert!(matches!(error, TaskError::Row { line: 1, .. }), "{error}");
    }
}
