//! Rows of a file, as tokens.

use std::path::Path;

use afterthought_recipes::train::{Data, WhenLong};
use afterthought_text::{Checker, Content, Encoded, Encoder, Record, Rows};

use crate::commands::encoding::template_missing;
use crate::commands::missing::require_file;
use crate::exit::UsageError;

/// Problems that are listed one by one; of more than these only the number is told.
const LISTED: usize = 20;

/// A row that can be learnt from.
pub(super) struct Row {
    /// Its line in the file.
    pub(super) line: u64,
    pub(super) record: Record,
    pub(super) encoded: Encoded,
}

/// The rows of a file, and what was left out.
pub(super) struct RowFile {
    pub(super) rows: Vec<Row>,
    /// A line for people for each kind of thing left out.
    pub(super) dropped: Vec<String>,
}

/// Reads and encodes a file.
///
/// # Errors
/// A usage error that lists every row which the recipe does not let drop; one if nothing is left.
pub(super) fn read(path: &Path, data: &Data, encoder: &Encoder) -> anyhow::Result<RowFile> {
    require_file(path)?;
    let file = path.display();
    let (mut rows, mut bad, mut long) = (Vec::new(), Vec::new(), Vec::new());
    let mut checker = Checker::default();
    for row in Rows::open(path)? {
        let mut row = row?;
        checker.check(&mut row);
        if let Some(problem) = row.fatal() {
            bad.push(format!("{file}:{problem}"));
        }
        let line = row.line;
        let Some(record) = row.record else { continue };
        match encoder.record(&record) {
            Ok(encoded) if encoded.ids.len() > data.max_length => {
                let (tokens, most) = (encoded.ids.len(), data.max_length);
                long.push(format!("{file}:{line}:1: {tokens} tokens, `data.max_length` is {most}"));
            }
            Ok(encoded) => rows.push(Row { line, record, encoded }),
            Err(error) => {
                let directory = Path::new("the model");
                if let Some(missing) = template_missing(&error, directory) {
                    return Err(missing.into());
                }
                bad.push(format!("{file}:{line}:1: {error}"));
            }
        }
    }
    let mut refused = Vec::new();
    let mut dropped = Vec::new();
    let kinds = [
        (bad, data.on_bad_row, "that cannot be used", "data.on_bad_row"),
        (long, data.on_long, "that are too long", "data.on_long"),
    ];
    for (found, policy, what, key) in kinds {
        match (found.len(), policy) {
            (0, _) => {}
            (count, WhenLong::Drop) => {
                dropped.push(format!("{file}: {count} rows {what} left out"))
            }
            (count, WhenLong::Error) => refused.push((found, format!("{count} rows {what}"), key)),
        }
    }
    if let Some((_, _, key)) = refused.first() {
        let hint = format!("put them right, or leave them out with `{key} = \"drop\"`");
        let whats: Vec<&str> = refused.iter().map(|(_, what, _)| what.as_str()).collect();
        let mut message = format!("{file} has {}", whats.join(" and "));
        let all: Vec<&String> = refused.iter().flat_map(|(found, ..)| found).collect();
        for problem in all.iter().take(LISTED) {
            message += &format!("\n  {problem}");
        }
        if all.len() > LISTED {
            message += &format!("\n  and {} more", all.len() - LISTED);
        }
        return Err(UsageError::new(message).hint(hint).into());
    }
    if rows.is_empty() {
        let left_out = match dropped.is_empty() {
            true => "is empty".to_owned(),
            false => format!("has no row left ({})", dropped.join("; ")),
        };
        return Err(UsageError::new(format!("{file} {left_out}")).into());
    }
    Ok(RowFile { rows, dropped })
}

/// What is wrong with a row that teaches nothing, if that is what is wrong with it.
pub(super) fn teaches_nothing(row: &Row) -> Option<String> {
    match (&row.record.content, row.encoded.trained()) {
        (Content::Prompt(_), _) => Some("the row has a prompt and no completion".into()),
        (_, 0) => Some("nothing of the row is learnt".into()),
        _ => None,
    }
}
