use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::record::{Content, Record};
use crate::Error;
use crate::message::Message;

/// Writes [`Record`]s, one a line: the columns of the format, then the others.
#[derive(Debug)]
pub struct RecordWriter<W> {
    writer: W,
    origin: String,
    written: u64,
}

impl RecordWriter<BufWriter<File>> {
    /// Creates or replaces a file.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be created.
    pub fn create(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let file =
            File::create(path).map_err(|source| Error::Io { path: path.to_path_buf(), source })?;
        Ok(Self::new(BufWriter::new(file), path.display().to_string()))
    }
}

impl<W: Write> RecordWriter<W> {
    /// Writes to `writer`; errors call it `origin`.
    pub fn new(writer: W, origin: impl Into<String>) -> Self {
        Self { writer, origin: origin.into(), written: 0 }
    }

    /// Writes one record.
    ///
    /// # Errors
    /// [`Error::ReservedColumn`] if a column is called as one of a format, [`Error::Io`].
    pub fn write(&mut self, record: &Record) -> Result<(), Error> {
        for column in ["messages", "prompt", "completion"] {
            if record.columns.contains_key(column) {
                let (origin, record) = (self.origin.clone(), self.written + 1);
                return Err(Error::ReservedColumn { origin, record, column });
            }
        }
        let mut object = Map::new();
        match &record.content {
            Content::Messages(messages) => {
                let messages = messages.iter().map(Message::to_json).collect();
                object.insert("messages".to_owned(), Value::Array(messages));
            }
            Content::Completion { prompt, completion } => {
                object.insert("prompt".to_owned(), prompt.clone().into());
                object.insert("completion".to_owned(), completion.clone().into());
            }
            Content::Prompt(prompt) => {
                object.insert("prompt".to_owned(), prompt.clone().into());
            }
        }
        object.extend(record.columns.iter().map(|(k, v)| (k.clone(), v.clone())));
        writeln!(self.writer, "{}", Value::Object(object)).map_err(|source| self.io(source))?;
        self.written += 1;
        Ok(())
    }

    /// Flushes and returns the writer. Dropping it instead loses errors of the last bytes.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn finish(mut self) -> Result<W, Error> {
        self.writer.flush().map_err(|source| self.io(source))?;
        Ok(self.writer)
    }

    fn io(&self, source: std::io::Error) -> Error {
        Error::Io { path: PathBuf::from(&self.origin), source }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use crate::{BadRows, Dataset};

    #[test]
    fn written_records_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("r.jsonl");
        let columns: Map<String, Value> =
            serde_json::from_str(r#"{"target": 24, "numbers": [1, 2.5], "b": null}"#).unwrap();
        let turns = vec![Message::new("user", "\u{feff}é"), Message::new("assistant", "\"\\")];
        let (prompt, completion) = ("line\nend".to_owned(), "x".to_owned());
        for content in [
            Content::Prompt("a \u{2028}".into()),
            Content::Completion { prompt, completion },
            Content::Messages(turns),
        ] {
            let record = Record { content, columns: columns.clone() };
            let mut writer = RecordWriter::create(&path).unwrap();
            writer.write(&record).unwrap();
            writer.finish().unwrap();
            let back = Dataset::open(&path, BadRows::Refuse).unwrap();
            assert_eq!(back.records, [(1, record)]);
        }
    }

    #[test]
    fn columns_must_not_shadow_fields() {
        let columns = Map::from_iter([("prompt".to_owned(), Value::Null)]);
        let record = Record { columns, ..Record::prompt("a") };
        let error = RecordWriter::new(Vec::new(), "out").write(&record).unwrap_err();
        assert_eq!(
            error.to_string(),
            "out: record 1 has an extra column \"prompt\", which is the name of a field"
        );
    }
}
