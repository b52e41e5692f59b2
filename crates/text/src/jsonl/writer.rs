use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::record::Record;
use crate::Error;

/// Writes [`Record`]s, one a line: `prompt`, `completion` if there is one, then the columns.
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
    /// [`Error::ReservedColumn`] if a column is called `prompt` or `completion`, [`Error::Io`].
    pub fn write(&mut self, record: &Record) -> Result<(), Error> {
        for column in ["prompt", "completion"] {
            if record.columns.contains_key(column) {
                let (origin, record) = (self.origin.clone(), self.written + 1);
                return Err(Error::ReservedColumn { origin, record, column });
            }
        }
        let mut object = Map::new();
        object.insert("prompt".to_owned(), record.prompt.clone().into());
        if let Some(completion) = &record.completion {
            object.insert("completion".to_owned(), completion.clone().into());
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
    use crate::Records;

    #[test]
    fn written_records_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("r.jsonl");
        let columns: Map<String, Value> =
            serde_json::from_str(r#"{"target": 24, "numbers": [1, 2.5], "b": null}"#).unwrap();
        let records = [
            Record { prompt: "line\nend \u{feff}\u{2028}é".into(), completion: None, columns },
            Record { prompt: String::new(), completion: Some("x".into()), columns: Map::new() },
        ];
        let mut writer = RecordWriter::create(&path).unwrap();
        for record in &records {
            writer.write(record).unwrap();
        }
        writer.finish().unwrap();
        let back: Vec<Record> = Records::open(&path).unwrap().map(Result::unwrap).collect();
        assert_eq!(back, records);
    }

    #[test]
    fn columns_must_not_shadow_fields() {
        let columns = Map::from_iter([("prompt".to_owned(), Value::Null)]);
        let record = Record { prompt: "a".into(), completion: None, columns };
        let error = RecordWriter::new(Vec::new(), "out").write(&record).unwrap_err();
        assert_eq!(
            error.to_string(),
            "out: record 1 has an extra column \"prompt\", which is the name of a field"
        );
    }
}
