use std::collections::{BTreeMap, HashMap};
use std::io::BufRead;
use std::path::Path;

use serde_json::Value;

use super::problem::{Problem, ProblemKind};
use super::record::{Format, Record};
use super::rows::{Row, Rows};
use crate::Error;

/// What to do with rows that cannot be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BadRows {
    /// Refuse the file.
    #[default]
    Refuse,
    /// Leave them out; [`Dataset::counts`] says how many there were and why.
    Skip,
}

/// Judges rows of one file by each other: one format, no `id` twice.
#[derive(Clone, Debug, Default)]
pub struct Checker {
    format: Option<(Format, u64)>,
    required: Option<Format>,
    ids: HashMap<String, u64>,
}

impl Checker {
    /// A checker for files of the given format; of that of their first row, if none is given.
    pub fn new(format: Option<Format>) -> Self {
        Self { required: format, ..Self::default() }
    }

    /// Takes the record from a row that does not fit those before it, and says why.
    pub fn check(&mut self, row: &mut Row) {
        let Some(record) = &row.record else { return };
        let found = self.format_problem(record, row.line).or_else(|| {
            let message = self.id_problem(record, row.line)?;
            Some((ProblemKind::DuplicateId, message))
        });
        if let Some((kind, message)) = found {
            row.record = None;
            row.problems.push(Problem { kind, line: row.line, column: 1, message });
        }
    }

    fn format_problem(&mut self, record: &Record, line: u64) -> Option<(ProblemKind, String)> {
        let found = record.content.format();
        let message = match (self.required, self.format) {
            (Some(required), _) if required != found => {
                format!("the row has {}, expected {}", found.name(), required.name())
            }
            (None, Some((first, at))) if first != found => {
                format!("the row has {}, line {at} has {}", found.name(), first.name())
            }
            _ => {
                self.format.get_or_insert((found, line));
                return None;
            }
        };
        Some((ProblemKind::MixedFormats, message))
    }

    fn id_problem(&mut self, record: &Record, line: u64) -> Option<String> {
        let id = match record.columns.get("id")? {
            id @ (Value::String(_) | Value::Number(_)) => id.to_string(),
            _ => return None,
        };
        match self.ids.get(&id) {
            Some(first) => Some(format!("the id {id} is that of line {first}")),
            None => {
                self.ids.insert(id, line);
                None
            }
        }
    }
}

/// The records of a file, in memory.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Dataset {
    /// The records, with their line numbers.
    pub records: Vec<(u64, Record)>,
    /// How many problems of each kind there were.
    pub counts: BTreeMap<ProblemKind, u64>,
    /// Rows that were left out.
    pub skipped: u64,
}

impl Dataset {
    /// Reads a JSONL file.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::BadRows`] under [`BadRows::Refuse`], after the whole file was read.
    pub fn open(path: impl AsRef<Path>, policy: BadRows) -> Result<Self, Error> {
        Self::read(Rows::open(path)?, policy)
    }

    /// Collects rows.
    ///
    /// # Errors
    /// Those of [`Self::open`].
    pub fn read<R: BufRead>(rows: Rows<R>, policy: BadRows) -> Result<Self, Error> {
        let origin = rows.origin().to_owned();
        let (mut dataset, mut checker, mut first) = (Self::default(), Checker::default(), None);
        for row in rows {
            let mut row = row?;
            checker.check(&mut row);
            for problem in &row.problems {
                *dataset.counts.entry(problem.kind).or_default() += 1;
            }
            if let Some(problem) = row.fatal() {
                dataset.skipped += 1;
                first.get_or_insert_with(|| problem.clone());
            }
            dataset.records.extend(row.record.map(|record| (row.line, record)));
        }
        match (policy, first) {
            (BadRows::Refuse, Some(first)) => {
                let (bad, good) = (dataset.skipped, dataset.records.len() as u64);
                Err(Error::BadRows { origin, bad, rows: bad + good, first })
            }
            _ => Ok(dataset),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    const MIXED: &str = "{\"prompt\": \"a\", \"id\": 1}\n{\"prompt\": \"b\", \"id\": \"1\"}\n\n\
                         {\"prompt\": \"c\", \"completion\": \"d\"}\n{\"prompt\": \"e\", \"id\": 1}\n\
                         {\"prompt\"\n";

    fn read(policy: BadRows) -> Result<Dataset, Error> {
        Dataset::read(Rows::new(MIXED.as_bytes(), "f.jsonl"), policy)
    }

    #[test]
    fn bad_rows_are_refused_after_all_were_counted() {
        assert_eq!(
            read(BadRows::Refuse).unwrap_err().to_string(),
            "3 of 5 rows of f.jsonl are bad; the first: f.jsonl:4:1: mixed_formats: the row has \
             prompt and completion, line 1 has prompt"
        );
    }

    #[test]
    fn or_left_out_and_counted() {
        let dataset = read(BadRows::Skip).unwrap();
        let lines: Vec<u64> = dataset.records.iter().map(|(line, _)| *line).collect();
        // The string "1" is not the number 1.
        assert_eq!((lines, dataset.skipped), (vec![1, 2], 3));
        let counts: Vec<(&str, u64)> =
            dataset.counts.iter().map(|(kind, count)| (kind.name(), *count)).collect();
        let expected =
            [("blank_line", 1), ("invalid_json", 1), ("mixed_formats", 1), ("duplicate_id", 1)];
        assert_eq!(counts, expected);
    }

    #[test]
    fn a_required_format_is_required_of_the_first_row_too() {
        let mut checker = Checker::new(Some(Format::Messages));
        let mut row = Rows::new(MIXED.as_bytes(), "f").next().unwrap().unwrap();
        checker.check(&mut row);
        let message = "1:1: mixed_formats: the row has prompt, expected messages";
        assert_eq!(row.fatal().unwrap().to_string(), message);
        assert_eq!(row.record, None);
    }
}
