use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use super::record::Record;
use crate::Error;

/// Longest line that [`Records`] accepts unless told otherwise: 16 MiB.
pub const DEFAULT_LINE_CAP: usize = 16 << 20;

/// Reads [`Record`]s line by line.
///
/// Accepts a byte order mark at the beginning, `\n` and `\r\n`, and a last line without an end;
/// lines of white space alone hold no record. After an error of the file itself (not of one line)
/// the iteration ends.
#[derive(Debug)]
pub struct Records<R> {
    reader: R,
    origin: String,
    line: u64,
    cap: usize,
    buffer: Vec<u8>,
    ended: bool,
}

impl Records<BufReader<File>> {
    /// Opens a JSONL file.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be opened.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let file =
            File::open(path).map_err(|source| Error::Io { path: path.to_path_buf(), source })?;
        Ok(Self::new(BufReader::new(file), path.display().to_string()))
    }
}

impl<R: BufRead> Records<R> {
    /// Reads from `reader`; errors call it `origin`.
    pub fn new(reader: R, origin: impl Into<String>) -> Self {
        let origin = origin.into();
        Self { reader, origin, line: 0, cap: DEFAULT_LINE_CAP, buffer: Vec::new(), ended: false }
    }

    /// Accepts lines of at most `cap` bytes, line end not counted.
    #[must_use]
    pub fn line_cap(mut self, cap: usize) -> Self {
        self.cap = cap;
        self
    }

    /// Number of the line that was read last, from 1; 0 before the first.
    pub fn line(&self) -> u64 {
        self.line
    }

    /// Reads the next line into the buffer, without its end; `false` at the end of the file.
    fn read_line(&mut self) -> Result<bool, Error> {
        self.buffer.clear();
        // Room for the line end and for one byte that shows the line to be too long.
        let limit = (self.cap as u64).saturating_add(if self.line == 0 { 6 } else { 3 });
        let read = (&mut self.reader)
            .take(limit)
            .read_until(b'\n', &mut self.buffer)
            .map_err(|source| Error::Io { path: PathBuf::from(&self.origin), source })?;
        if read == 0 {
            return Ok(false);
        }
        self.line += 1;
        if self.buffer.last() == Some(&b'\n') {
            self.buffer.pop();
            if self.buffer.last() == Some(&b'\r') {
                self.buffer.pop();
            }
        }
        if self.line == 1 && self.buffer.starts_with(b"\xef\xbb\xbf") {
            self.buffer.drain(..3);
        }
        if self.buffer.len() > self.cap {
            return Err(Error::LineTooLong {
                origin: self.origin.clone(),
                line: self.line,
                column: self.cap + 1,
                cap: self.cap,
            });
        }
        Ok(true)
    }

    fn parse(&self) -> Result<Option<Record>, Error> {
        let (origin, line) = (|| self.origin.clone(), self.line);
        let text = std::str::from_utf8(&self.buffer).map_err(|error| {
            let at = error.valid_up_to();
            Error::InvalidUtf8 { origin: origin(), line, column: at + 1, byte: self.buffer[at] }
        })?;
        if text.trim().is_empty() {
            return Ok(None);
        }
        serde_json::from_str(text).map(Some).map_err(|error| {
            // The library appends its own position, in which the line is always 1.
            let position = format!(" at line {} column {}", error.line(), error.column());
            let message = error.to_string();
            let message = message.strip_suffix(&position).unwrap_or(&message).to_owned();
            Error::Record { origin: origin(), line, column: error.column().max(1), message }
        })
    }
}

impl<R: BufRead> Iterator for Records<R> {
    type Item = Result<Record, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.ended {
            match self.read_line() {
                Ok(true) => {}
                Ok(false) => self.ended = true,
                Err(error) => {
                    self.ended = true;
                    return Some(Err(error));
                }
            }
            if self.ended {
                break;
            }
            if let Some(result) = self.parse().transpose() {
                return Some(result);
            }
        }
        None
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Vec<Result<Record, String>> {
        Records::new(bytes, "f.jsonl").map(|r| r.map_err(|e| e.to_string())).collect()
    }

    fn error(bytes: &[u8]) -> String {
        let mut all = read(bytes);
        all.pop().unwrap().unwrap_err()
    }

    #[test]
    fn byte_order_mark_line_ends_and_blank_lines() {
        let records = read(
            b"\xef\xbb\xbf{\"prompt\":\"a\"}\r\n\r\n  \n{\"prompt\":\"b\",\"completion\":null}\n\
              {\"z\":1,\"prompt\":\"c\",\"a\":[2],\"completion\":\"d\"}",
        );
        let records: Vec<Record> = records.into_iter().map(Result::unwrap).collect();
        let prompts: Vec<&str> = records.iter().map(|r| r.prompt.as_str()).collect();
        assert_eq!(prompts, ["a", "b", "c"]);
        assert_eq!(records[1].completion, None);
        assert_eq!(records[2].completion.as_deref(), Some("d"));
        let keys: Vec<&String> = records[2].columns.keys().collect();
        assert_eq!(keys, ["z", "a"]);
    }

    #[test]
    fn errors_carry_file_line_and_column() {
        assert_eq!(
            error(b"{\"prompt\":\"a\"}\n{\"prompt\":1}"),
            "f.jsonl:2:11: invalid type: integer `1`, expected a string"
        );
        assert!(
            error(b"\n{\"completion\":\"a\"}").starts_with("f.jsonl:2:18: missing field `prompt`")
        );
        assert!(error(b"{\"prompt\":\"a\"").starts_with("f.jsonl:1:13: EOF"));
        assert!(error(b"{\"prompt\":\"a\"} x").starts_with("f.jsonl:1:16: trailing"));
        assert!(error(b"[]").starts_with("f.jsonl:1:"));
        assert!(error(b"{\"prompt\":\"a\",\"x\":1,\"x\":2}").contains("`x` occurs twice"));
        assert!(error(b"{\"prompt\":\"a\",\"prompt\":\"a\"}").contains("`prompt` occurs twice"));
        assert_eq!(error(b"{\"prompt\":\"a\xff\"}"), "f.jsonl:1:13: byte 0xff is not valid UTF-8");
    }

    #[test]
    fn a_bad_line_does_not_hide_the_next() {
        let all = read(b"{\n{\"prompt\":\"a\"}\n");
        assert!(all[0].is_err());
        assert_eq!(all[1].as_ref().unwrap().prompt, "a");
        assert_eq!(all.len(), 2);
    }

    #[test]
    fn the_cap_counts_the_line_without_mark_and_end() {
        let line = b"{\"prompt\":\"abc\"}";
        for end in [&b""[..], b"\n", b"\r\n", b"\n{\"prompt\":\"\"}\n"] {
            for mark in [&b""[..], b"\xef\xbb\xbf"] {
                let bytes = [mark, line, end].concat();
                let read = |cap| Records::new(&bytes[..], "f").line_cap(cap).next().unwrap();
                assert_eq!(read(line.len()).unwrap().prompt, "abc");
                let error = read(line.len() - 1).unwrap_err();
                assert_eq!(error.to_string(), "f:1:16: the line is longer than 15 bytes");
            }
        }
        let endless = BufReader::new(std::io::repeat(b'x'));
        let mut records = Records::new(endless, "f").line_cap(100);
        assert!(matches!(records.next(), Some(Err(Error::LineTooLong { line: 1, .. }))));
        assert!(records.next().is_none());
    }
}
