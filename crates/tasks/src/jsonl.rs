//! Rows of JSON with errors that name the file, the line and the key.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::TaskError;

/// The whole file as text.
pub(crate) fn read_text(path: &Path) -> Result<String, TaskError> {
    fs::read_to_string(path).map_err(|source| TaskError::Read { path: path.to_owned(), source })
}

/// Applies `read` to every line of a JSONL file; blank lines hold no row.
pub(crate) fn read_rows<T>(
    path: &Path,
    read: impl Fn(&Value) -> Result<T, TaskError>,
) -> Result<Vec<T>, TaskError> {
    let text = read_text(path)?;
    let mut rows = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let row = serde_json::from_str(line)
            .map_err(TaskError::from)
            .and_then(|row| read(&row))
            .map_err(|error| at_line(path, index as u64 + 1, error))?;
        rows.push(row);
    }
    Ok(rows)
}

/// Wraps an error with the file and line it happened at.
pub(crate) fn at_line(path: &Path, line: u64, error: TaskError) -> TaskError {
    TaskError::Row { path: path.to_owned(), line, source: Box::new(error) }
}

/// The string under `key`.
pub(crate) fn text<'a>(row: &'a Value, key: &str) -> Result<&'a str, TaskError> {
    let value = row.get(key).unwrap_or(&Value::Null);
    value.as_str().ok_or_else(|| TaskError::field(key, "a string", describe(value)))
}

/// A JSON value for an error message.
pub(crate) fn describe(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        other => other.to_string(),
    }
}
