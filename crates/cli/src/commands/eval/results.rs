//! The results file: a header, then a line for every completion, appended as they come.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use afterthought_runs::durable::folder_of;
use afterthought_tasks::generations::EVALUATION_SCHEMA;
use anyhow::Context;
use serde::Serialize;

use super::line::Line;
use super::request::{Header, differences};
use crate::commands::missing::require_directory;
use crate::console::Console;
use crate::exit::UsageError;

/// A file that is being appended to. It is locked: two commands cannot write it at a time.
pub(super) struct Results {
    path: PathBuf,
    file: File,
}

impl Results {
    /// Refuses a file name that cannot be used, before any work is done for it.
    ///
    /// # Errors
    /// A usage error if the file is there and is not to be continued, or its directory is not there.
    pub(super) fn check(path: &Path, resume: bool) -> anyhow::Result<()> {
        if path.exists() && !resume {
            return Err(UsageError::new(format!("{} exists already", path.display()))
                .hint("--resume continues it; or choose another name, or remove it first")
                .into());
        }
        Ok(require_directory(folder_of(path))?)
    }

    /// Begins the file, or continues it if it is there, and gives the lines that it holds. A last line
    /// without its end, as a kill or a full disk leaves it, is dropped with a note.
    ///
    /// # Errors
    /// A usage error if another process writes the file, or if it belongs to another request: each
    /// setting that differs is named. A failure, with the line, for a file that holds something else.
    pub(super) fn open(
        path: &Path,
        header: &Header,
        console: &Console,
    ) -> anyhow::Result<(Self, Vec<Line>)> {
        let context = || format!("cannot open {}", path.display());
        let mut options = OpenOptions::new();
        let file = options.read(true).append(true).create(true).open(path).with_context(context)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let message = format!("{} is being written by another command", path.display());
                return Err(UsageError::new(message).hint("wait for it to end").into());
            }
            Err(TryLockError::Error(error)) => return Err(error).with_context(context),
        }
        let mut results = Self { path: path.to_owned(), file };
        let text = results.whole_lines(console)?;
        if text.is_empty() {
            results.write(&[header])?;
            return Ok((results, Vec::new()));
        }
        let lines = results.parse(&text, header)?;
        Ok((results, lines))
    }

    /// Appends lines; when this returns they are on the disk.
    pub(super) fn append(&mut self, lines: &[Line]) -> anyhow::Result<()> {
        self.write(lines)
    }

    fn write<T: Serialize>(&mut self, lines: &[T]) -> anyhow::Result<()> {
        let mut text = String::new();
        for line in lines {
            text += &serde_json::to_string(line)?;
            text.push('\n');
        }
        self.file
            .write_all(text.as_bytes())
            .and_then(|()| self.file.sync_data())
            .with_context(|| format!("cannot write {}", self.path.display()))
    }

    /// The text up to the last line end; what follows it is cut off the file.
    fn whole_lines(&mut self, console: &Console) -> anyhow::Result<String> {
        let context = || format!("cannot read {}", self.path.display());
        let mut bytes = Vec::new();
        self.file.seek(SeekFrom::Start(0)).with_context(context)?;
        self.file.read_to_end(&mut bytes).with_context(context)?;
        let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        if end < bytes.len() {
            console.warn(&format!(
                "{}: the last line is cut short, its {} bytes are dropped",
                self.path.display(),
                bytes.len() - end
            ));
            self.file
                .set_len(end as u64)
                .with_context(|| format!("cannot write {}", self.path.display()))?;
            bytes.truncate(end);
        }
        String::from_utf8(bytes).with_context(context)
    }

    fn parse(&self, text: &str, header: &Header) -> anyhow::Result<Vec<Line>> {
        let path = self.path.display();
        let mut lines = text.lines();
        let first = lines.next().unwrap_or_default();
        let there: Header = serde_json::from_str(first).map_err(|error| {
            UsageError::caused_by(format!("{path}:1: not the header of an eval file"), error)
                .hint("--resume continues files that eval --out began")
        })?;
        if there.schema != EVALUATION_SCHEMA {
            let message =
                format!("{path} has the layout {:?}, expected {EVALUATION_SCHEMA:?}", there.schema);
            return Err(UsageError::new(message).hint("begin another file").into());
        }
        let differences = differences(&there.request, &header.request);
        if !differences.is_empty() {
            let message = format!("{path} belongs to another request: {}", differences.join("; "));
            return Err(UsageError::new(message)
                .hint("repeat the first command, or begin another file")
                .into());
        }
        let line = |(index, line): (usize, &str)| {
            serde_json::from_str(line)
                .with_context(|| format!("{path}:{}: not a result", index + 2))
        };
        lines.enumerate().map(line).collect()
    }
}
