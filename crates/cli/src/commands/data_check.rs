//! `afterthought data check`: every bad row by file, line and column.

use std::collections::BTreeMap;
use std::path::Path;

use afterthought_text::{Checker, Encoder, Format, Rows};
use serde::Serialize;

use crate::args::{DataCheckArgs, OnBadRow, RowFormat};
use crate::commands::encoding::{encoder, template_missing};
use crate::commands::missing::require_file;
use crate::commands::row_tokens::{RowTokens, Summary};
use crate::console::{Console, print_json, print_text, printable};
use crate::exit::hinted;

/// What a row is that the model's template or tokenizer refuses.
const NOT_ENCODABLE: &str = "not_encodable";

/// Checks the files and prints what is wrong; fails if anything is.
pub(crate) fn run(args: &DataCheckArgs, console: &Console) -> anyhow::Result<()> {
    args.files.iter().try_for_each(|path| require_file(path))?;
    let encoder = match &args.model {
        Some(model) => Some(encoder(model, &args.encoding, console)?),
        None => None,
    };
    let files = (args.files.iter())
        .map(|path| check(path, args, encoder.as_ref()))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let rows = files.iter().map(|file| file.rows).sum();
    let bad = files.iter().map(|file| file.bad).sum();
    let empty = files.iter().find(|file| file.rows == file.bad).map(|file| file.file.clone());
    let document = Document { rows, bad, files };
    match args.json {
        true => print_json(&document)?,
        false => print_text(&document.overview())?,
    }
    if let Some(file) = empty {
        anyhow::bail!("{file} has no row that can be used");
    }
    if bad > 0 && args.on_bad_row == OnBadRow::Error {
        let error = anyhow::anyhow!("{bad} of {rows} rows are bad");
        return Err(hinted(error, "put them right, or accept them with --on-bad-row skip"));
    }
    Ok(())
}

fn check(
    path: &Path,
    args: &DataCheckArgs,
    encoder: Option<&Encoder>,
) -> anyhow::Result<FileReport> {
    let mut report = FileReport { file: path.display().to_string(), ..FileReport::default() };
    let mut checker = Checker::new(args.format.map(|format| match format {
        RowFormat::Messages => Format::Messages,
        RowFormat::Completion => Format::Completion,
        RowFormat::Prompt => Format::Prompt,
    }));
    let mut tokens = RowTokens::default();
    for row in Rows::open(path)? {
        let mut row = row?;
        checker.check(&mut row);
        for problem in &row.problems {
            let fatal = problem.kind.is_fatal();
            let (kind, message) = (problem.kind.name(), problem.message.clone());
            report.add(Finding { line: row.line, column: problem.column, kind, fatal, message });
        }
        let Some(record) = &row.record else {
            report.bad += u64::from(row.fatal().is_some());
            report.rows += u64::from(row.fatal().is_some());
            continue;
        };
        report.rows += 1;
        let Some(encoder) = encoder else { continue };
        match encoder.record(record) {
            Ok(encoded) => tokens.add(encoder, &encoded),
            Err(error) => {
                if let Some(missing) =
                    args.model.as_deref().and_then(|model| template_missing(&error, model))
                {
                    return Err(missing.into());
                }
                report.bad += 1;
                let (kind, message) = (NOT_ENCODABLE, error.to_string());
                report.add(Finding { line: row.line, column: 1, kind, fatal: true, message });
            }
        }
    }
    report.tokens = tokens.summary(args.max_length);
    Ok(report)
}

/// What `--json` prints.
#[derive(Serialize)]
struct Document {
    rows: u64,
    bad: u64,
    files: Vec<FileReport>,
}

#[derive(Default, Serialize)]
struct FileReport {
    file: String,
    /// Lines that hold a row, or should.
    rows: u64,
    /// Rows that cannot be used.
    bad: u64,
    /// Lines with a problem of each kind.
    counts: BTreeMap<&'static str, u64>,
    /// Of kinds that leave a row usable, the first alone.
    problems: Vec<Finding>,
    tokens: Option<Summary>,
}

#[derive(Serialize)]
struct Finding {
    line: u64,
    column: usize,
    kind: &'static str,
    /// Whether the row cannot be used.
    fatal: bool,
    message: String,
}

impl FileReport {
    fn add(&mut self, finding: Finding) {
        let count = self.counts.entry(finding.kind).or_default();
        *count += 1;
        if finding.fatal || *count == 1 {
            self.problems.push(finding);
        }
    }
}

impl Document {
    fn overview(&self) -> String {
        let mut text = String::new();
        for FileReport { file, problems, counts, .. } in &self.files {
            for Finding { line, column, kind, fatal, message } in problems {
                let note = match (fatal, counts.get(kind)) {
                    (false, Some(count)) if *count > 1 => format!(" (so {count} lines)"),
                    _ => String::new(),
                };
                let message = printable(message);
                text += &format!("{file}:{line}:{column}: {kind}: {message}{note}\n");
            }
        }
        for FileReport { file, rows, bad, counts, tokens, .. } in &self.files {
            text += &format!("{file}: {rows} rows, {bad} bad\n");
            for (kind, count) in counts {
                text += &format!("  {kind}: {count}\n");
            }
            text += &tokens.as_ref().map(Summary::lines).unwrap_or_default();
        }
        text
    }
}
