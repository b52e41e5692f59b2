//! Files of JSON lines that appear whole or not at all, and never in place of another file.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use afterthought_runs::durable::{folder_of, persist_new, stage_beside};
use anyhow::Context;
use serde::Serialize;
use tempfile::NamedTempFile;

use crate::commands::missing::require_directory;
use crate::exit::UsageError;

/// A file that is being written beside its final name.
pub(crate) struct NewFile {
    path: PathBuf,
    writer: BufWriter<NamedTempFile>,
}

impl NewFile {
    /// Begins a file that is to be called `path`.
    ///
    /// # Errors
    /// A usage error if something has that name already or its directory does not exist.
    pub(crate) fn create(path: &Path) -> anyhow::Result<Self> {
        if path.exists() {
            let message = format!("{} exists already", path.display());
            return Err(UsageError::new(message)
                .hint("choose another name, or remove it first")
                .into());
        }
        let parent = folder_of(path);
        require_directory(parent)?;
        let file =
            stage_beside(path).with_context(|| format!("cannot write in {}", parent.display()))?;
        Ok(Self { path: path.to_owned(), writer: BufWriter::new(file) })
    }

    /// Adds one line.
    pub(crate) fn line(&mut self, value: &impl Serialize) -> anyhow::Result<()> {
        let line = serde_json::to_string(value)?;
        writeln!(self.writer, "{line}")
            .with_context(|| format!("cannot write {}", self.path.display()))
    }

    /// Gives the file its name.
    pub(crate) fn finish(self) -> anyhow::Result<()> {
        let context = || format!("cannot write {}", self.path.display());
        let file =
            self.writer.into_inner().map_err(|error| error.into_error()).with_context(context)?;
        persist_new(file, &self.path).with_context(context)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use crate::exit::{Exit, exit_of};

    #[test]
    fn nothing_is_there_before_the_end_and_nothing_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl");
        let mut file = NewFile::create(&path).unwrap();
        file.line(&serde_json::json!({"a": 1})).unwrap();
        assert!(!path.exists());
        file.finish().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\"a\":1}\n");
        for wrong in [path, folder.path().join("no/b.jsonl")] {
            let error = NewFile::create(&wrong).err().unwrap();
            assert_eq!(exit_of(&error), Exit::Usage);
        }
    }
}
