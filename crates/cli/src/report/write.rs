//! Checks a report and writes its two files.

use std::path::{Path, PathBuf};

use super::document::{Cell, Report};
use super::html;
use afterthought_runs::durable::replace_file;

/// Why a report cannot be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReportError {
    /// A row is not as wide as its table.
    #[error("table `{table}`, row {row}: {actual} cells for {expected} columns")]
    Row { table: String, row: usize, expected: usize, actual: usize },
    /// `better` or `units` names a column that is not there.
    #[error("table `{table}` has no column `{column}` (it has {columns:?})")]
    Column { table: String, column: String, columns: Vec<String> },
    /// Two claims share an id.
    #[error("two claims have the id `{id}`")]
    Claim { id: String },
    /// The document cannot be encoded.
    #[error("cannot encode {}", path.display())]
    Encode { path: PathBuf, source: serde_json::Error },
    /// The file cannot be written.
    #[error("cannot write {}", path.display())]
    Write { path: PathBuf, source: std::io::Error },
}

impl Report {
    /// Writes `report.json` and `report.html` into `directory`, each beside its final name first
    /// and renamed when complete. Numbers that are not finite become [`Cell::Missing`] or leave
    /// their curve, in `self` too, with a warning that names them.
    pub(crate) fn write(&mut self, directory: &Path) -> Result<(), ReportError> {
        self.check()?;
        self.drop_non_finite();
        let path = directory.join("report.json");
        let mut json = serde_json::to_string_pretty(self)
            .map_err(|source| ReportError::Encode { path: path.clone(), source })?;
        json.push('\n');
        // The page first: report.json is what says that a run is complete.
        replace(&directory.join("report.html"), &html::page(self))?;
        replace(&path, &json)
    }

    fn check(&self) -> Result<(), ReportError> {
        for (name, table) in self.tables.iter() {
            let expected = table.columns.len();
            for (row, cells) in table.rows.iter().enumerate() {
                if cells.len() != expected {
                    let (table, actual) = (name.to_owned(), cells.len());
                    return Err(ReportError::Row { table, row, expected, actual });
                }
            }
            let named = table.better.iter().map(|(column, _)| column);
            for column in named.chain(table.units.iter().map(|(column, _)| column)) {
                if !table.columns.iter().any(|known| known == column) {
                    return Err(ReportError::Column {
                        table: name.to_owned(),
                        column: column.to_owned(),
                        columns: table.columns.clone(),
                    });
                }
            }
        }
        for (index, claim) in self.claims.iter().enumerate() {
            if self.claims.iter().take(index).any(|earlier| earlier.id == claim.id) {
                return Err(ReportError::Claim { id: claim.id.clone() });
            }
        }
        Ok(())
    }

    /// JSON has no NaN and no infinity: nothing of the kind may get there unannounced.
    fn drop_non_finite(&mut self) {
        for (name, table) in self.tables.iter_mut() {
            for (row, cells) in table.rows.iter_mut().enumerate() {
                for (column, cell) in table.columns.iter().zip(cells) {
                    let finite = match cell {
                        Cell::Number(value) => value.is_finite(),
                        Cell::Estimate { value, low, high } => {
                            value.is_finite() && low.is_finite() && high.is_finite()
                        }
                        _ => true,
                    };
                    if !finite {
                        *cell = Cell::Missing;
                        self.warnings.push(format!(
                            "table {name}, row {row}, {column}: not a finite number"
                        ));
                    }
                }
            }
        }
        for (name, curve) in self.curves.iter_mut() {
            for series in &mut curve.series {
                let before = series.points.len();
                series.points.retain(|point| point.iter().all(|number| number.is_finite()));
                let left_out = before - series.points.len();
                if left_out > 0 {
                    self.warnings.push(format!(
                        "curve {name}, {}: {left_out} of {before} points are not finite",
                        series.name
                    ));
                }
            }
        }
        for sample in &mut self.samples {
            if sample.reward.is_some_and(|reward| !reward.is_finite()) {
                sample.reward = None;
                self.warnings.push(format!("sample {}: the reward is not finite", sample.title));
            }
        }
    }
}

fn replace(path: &Path, text: &str) -> Result<(), ReportError> {
    let failed = |source| ReportError::Write { path: path.to_owned(), source };
    replace_file(path, text.as_bytes()).map_err(failed)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::super::document::{Better, Claim, Curve, Series, Table};
    use super::*;

    fn report(columns: &[&str], row: Vec<Cell>) -> Report {
        let mut report = Report::new("reproduce d1", "smoke", 7);
        let columns = columns.iter().map(|column| (*column).to_owned()).collect();
        report.tables.insert("main", Table { columns, rows: vec![row], ..Table::default() });
        report
    }

    #[test]
    fn both_files_are_written_and_replaced() {
        let directory = tempfile::tempdir().unwrap();
        for text in ["first", "second"] {
            report(&["model"], vec![text.into()]).write(directory.path()).unwrap();
            for name in ["report.json", "report.html"] {
                let written = std::fs::read_to_string(directory.path().join(name)).unwrap();
                assert!(written.contains(text), "{name}");
            }
        }
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 2);
    }

    #[test]
    fn numbers_that_are_not_finite_are_named_in_the_warnings() {
        let directory = tempfile::tempdir().unwrap();
        let mut report = report(&["model", "loss"], vec!["d1".into(), Cell::Number(f64::NAN)]);
        let points = vec![[0.0, 1.0, 1.0, 1.0], [1.0, f64::INFINITY, 1.0, 1.0]];
        let series = vec![Series { name: "d1".into(), points }];
        report.curves.insert("losses", Curve { series, ..Curve::default() });
        report.write(directory.path()).unwrap();
        let text = std::fs::read_to_string(directory.path().join("report.json")).unwrap();
        let written: Report = serde_json::from_str(&text).unwrap();
        assert_eq!(
            written.warnings,
            [
                "table main, row 0, loss: not a finite number",
                "curve losses, d1: 1 of 2 points are not finite"
            ]
        );
        assert_eq!(written.tables.get("main").unwrap().rows[0][1], Cell::Missing);
    }

    #[test]
    fn mistakes_in_a_report_are_named() {
        let directory = tempfile::tempdir().unwrap();
        let error = report(&["a", "b"], vec!["x".into()]).write(directory.path()).unwrap_err();
        assert_eq!(error.to_string(), "table `main`, row 0: 1 cells for 2 columns");

        let mut bad = report(&["a"], vec!["x".into()]);
        bad.tables.get_mut("main").unwrap().better.insert("c", Better::Higher);
        let error = bad.write(directory.path()).unwrap_err();
        assert_eq!(error.to_string(), "table `main` has no column `c` (it has [\"a\"])");

        let mut twice = report(&["a"], vec!["x".into()]);
        let claim = |holds| Claim {
            id: "one".into(),
            statement: String::new(),
            holds,
            evidence: serde_json::Map::new(),
        };
        twice.claims = vec![claim(true), claim(false)];
        let error = twice.write(directory.path()).unwrap_err();
        assert_eq!(error.to_string(), "two claims have the id `one`");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
