use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use afterthought_strict_json::Strict;
use serde_json::Value;

use super::line::{LineReader, RawLine};
use super::problem::{Finding, Problem, ProblemKind};
use super::record::Record;
use crate::Error;

/// Most objects and arrays within each other.
const MAX_DEPTH: usize = 100;

/// A line of a file: a record, or the reason why there is none, and what else is to be said.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Line number, from 1.
    pub line: u64,
    /// The record; absent only if `problems` says why.
    pub record: Option<Record>,
    /// What is wrong with the line.
    pub problems: Vec<Problem>,
}

impl Row {
    /// What keeps the row from being used.
    pub fn fatal(&self) -> Option<&Problem> {
        self.problems.iter().find(|problem| problem.kind.is_fatal())
    }
}

/// Reads a JSONL file line by line; every line gives one [`Row`].
///
/// Each row is judged by itself: [`super::Dataset`] compares rows with each other. After an error
/// of the file (not of a line) the iteration ends.
#[derive(Debug)]
pub struct Rows<R> {
    lines: LineReader<R>,
    origin: String,
    ended: bool,
}

impl Rows<BufReader<File>> {
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

impl<R: BufRead> Rows<R> {
    /// Reads from `reader`; errors call it `origin`.
    pub fn new(reader: R, origin: impl Into<String>) -> Self {
        Self { lines: LineReader::new(reader), origin: origin.into(), ended: false }
    }

    /// Accepts lines of at most `cap` bytes, line end not counted; [`super::DEFAULT_LINE_CAP`]
    /// unless this is called.
    #[must_use]
    pub fn line_cap(mut self, cap: usize) -> Self {
        self.lines.set_cap(cap);
        self
    }

    /// The name of the file.
    pub fn origin(&self) -> &str {
        &self.origin
    }
}

impl<R: BufRead> Iterator for Rows<R> {
    type Item = Result<Row, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        match self.lines.next() {
            Ok(Some(line)) => Some(Ok(row(&line, self.lines.cap()))),
            Ok(None) => {
                self.ended = true;
                None
            }
            Err(source) => {
                self.ended = true;
                Some(Err(Error::Io { path: PathBuf::from(&self.origin), source }))
            }
        }
    }
}

fn row(line: &RawLine, cap: usize) -> Row {
    let mut findings = Vec::new();
    if line.marked {
        let message = "the file begins with a byte order mark";
        findings.push(Finding::new(ProblemKind::ByteOrderMark, 0, message));
    }
    if line.carriage_return {
        let message = "the line ends with a carriage return and a line feed";
        findings.push(Finding::new(ProblemKind::CarriageReturn, line.bytes.len(), message));
    }
    let record = match record(line, cap, &mut findings) {
        Ok(record) => record,
        Err(finding) => {
            findings.push(finding);
            None
        }
    };
    let problems = findings.into_iter().map(|finding| finding.at_line(line.number)).collect();
    Row { line: line.number, record, problems }
}

fn record(
    line: &RawLine,
    cap: usize,
    findings: &mut Vec<Finding>,
) -> Result<Option<Record>, Finding> {
    if line.too_long {
        let message = format!("the line is longer than {cap} bytes");
        return Err(Finding::new(ProblemKind::LineTooLong, cap, message));
    }
    if let Some(at) = line.bytes.iter().position(|byte| *byte == 0) {
        return Err(Finding::new(ProblemKind::Nul, at, "a NUL byte"));
    }
    let text = std::str::from_utf8(&line.bytes).map_err(|error| {
        let at = error.valid_up_to();
        let message = format!("byte 0x{:02x} is not valid UTF-8", line.bytes[at]);
        Finding::new(ProblemKind::InvalidUtf8, at, message)
    })?;
    if text.trim().is_empty() {
        findings.push(Finding::new(ProblemKind::BlankLine, 0, "the line is blank"));
        return Ok(None);
    }
    let separator = |c| matches!(c, '\u{2028}' | '\u{2029}' | '\u{85}');
    if let Some((at, found)) = text.char_indices().find(|&(_, c)| separator(c)) {
        let message = format!("U+{:04X}, at which some readers end a line", found as u32);
        findings.push(Finding::new(ProblemKind::UnicodeSeparator, at, message));
    }
    if let Some(at) = too_deep(&line.bytes) {
        let message = format!("more than {MAX_DEPTH} levels of objects and lists");
        return Err(Finding::new(ProblemKind::TooDeep, at, message));
    }
    let Strict(value) = serde_json::from_str(text).map_err(|error| syntax(&error, line.open))?;
    match value {
        Value::Object(object) => Record::from_json(object, text).map(Some),
        _ => Err(Finding::new(ProblemKind::WrongType, 0, "the row is not an object")),
    }
}

fn syntax(error: &serde_json::Error, open: bool) -> Finding {
    // The library appends its own position, in which the line is always 1.
    let position = format!(" at line {} column {}", error.line(), error.column());
    let message = error.to_string();
    let message = message.strip_suffix(&position).unwrap_or(&message);
    let offset = error.column().saturating_sub(1);
    if error.is_eof() && open {
        let message = format!("the file ends in the middle of a row ({message})");
        return Finding::new(ProblemKind::CutLastLine, offset, message);
    }
    // The only complaint about data, as opposed to syntax, is that of `Strict`.
    let kind = match error.is_data() {
        true => ProblemKind::RepeatedKey,
        false => ProblemKind::InvalidJson,
    };
    Finding::new(kind, offset, message)
}

/// Offset of the first bracket beyond [`MAX_DEPTH`]. Sees brackets outside strings in valid JSON; in
/// anything else it may err, but then the parser, which has a limit of its own, will refuse it.
fn too_deep(bytes: &[u8]) -> Option<usize> {
    let (mut depth, mut quoted, mut escaped) = (0usize, false, false);
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'{' | b'[' if depth == MAX_DEPTH => return Some(at),
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use crate::jsonl::Content;

    fn rows(bytes: &[u8]) -> Vec<Row> {
        Rows::new(bytes, "f").map(Result::unwrap).collect()
    }

    /// The problems of a single line, printed.
    fn found(line: &str) -> String {
        let rows = rows(line.as_bytes());
        assert_eq!(rows.len(), 1, "{line}");
        let all: Vec<String> = rows[0].problems.iter().map(ToString::to_string).collect();
        all.join("\n")
    }

    #[test]
    fn the_three_formats() {
        let rows = rows(
            b"{\"prompt\": \"a\", \"z\": 1, \"b\": [2]}\n\
              {\"completion\": \"d\", \"prompt\": \"c\", \"messages\": null}\n\
              {\"messages\": [{\"role\": \"user\", \"content\": \"hi\", \"name\": \"x\"},\
              {\"role\": \"assistant\", \"content\": \"yes\"}]}\n",
        );
        assert!(rows.iter().all(|row| row.problems.is_empty()));
        let contents: Vec<Content> =
            rows.iter().map(|row| row.record.clone().unwrap().content).collect();
        assert_eq!(contents[0], Content::Prompt("a".into()));
        let keys: Vec<&String> = rows[0].record.as_ref().unwrap().columns.keys().collect();
        assert_eq!(keys, ["z", "b"]);
        let (prompt, completion) = ("c".to_owned(), "d".to_owned());
        assert_eq!(contents[1], Content::Completion { prompt, completion });
        let Content::Messages(messages) = &contents[2] else { panic!("{:?}", contents[2]) };
        assert_eq!(messages[0].fields["name"], "x");
        assert_eq!(messages[1].content.as_deref(), Some("yes"));
    }

    #[test]
    fn what_is_wrong_with_the_bytes() {
        assert_eq!(found("{\"prompt\":\"a\0\"}"), "1:13: nul: a NUL byte");
        let bad = rows(b"{\"prompt\":\"a\xff\"}");
        assert_eq!(
            bad[0].problems[0].to_string(),
            "1:13: invalid_utf8: byte 0xff is not valid UTF-8"
        );
        let rows = rows(b"\xef\xbb\xbf{\"prompt\":\"a\"}\r\n \n");
        let all: Vec<String> =
            rows.iter().flat_map(|row| &row.problems).map(ToString::to_string).collect();
        assert_eq!(
            all,
            [
                "1:1: byte_order_mark: the file begins with a byte order mark",
                "1:15: carriage_return: the line ends with a carriage return and a line feed",
                "2:1: blank_line: the line is blank",
            ]
        );
        assert!(rows[0].record.is_some() && rows[0].fatal().is_none());
        assert_eq!(
            found("{\"prompt\":\"a\u{2028}b\"}"),
            "1:13: unicode_separator: U+2028, at which some readers end a line"
        );
    }

    #[test]
    fn what_is_wrong_with_the_json() {
        assert!(found("{\"prompt\":\"a\"").starts_with("1:13: cut_last_line: "));
        assert!(found("{\"prompt\":\"a\"\n").starts_with("1:13: invalid_json: EOF"));
        assert!(found("{\"prompt\":\"a\"} x").starts_with("1:16: invalid_json: trailing"));
        assert!(found("{\"prompt\":\"a\\ud800\"}").contains("invalid_json"));
        assert_eq!(found(" [1]"), "1:1: wrong_type: the row is not an object");
        let repeated = found("{\"prompt\":\"a\",\"x\":{\"y\":1,\"y\":2}}");
        assert!(repeated.contains("repeated_key: the key \"y\" occurs twice"), "{repeated}");
        let deep =
            format!("{{\"prompt\":\"[[\\\"[\",\"x\":{}1{}}}", "[".repeat(99), "]".repeat(99));
        assert_eq!(found(&deep), "");
        let deeper = deep.replace("1", "[1]");
        assert_eq!(found(&deeper), "1:122: too_deep: more than 100 levels of objects and lists");
    }

    #[test]
    fn what_is_wrong_with_the_columns() {
        for (line, expected) in [
            ("{\"a\":1}", "1:1: missing_column: no `messages` and no `prompt`, only [\"a\"]"),
            ("{\"completion\":\"a\"}", "1:1: missing_column: `completion` without `prompt`"),
            ("{\"prompt\":1}", "1:11: wrong_type: `prompt` is a number, expected a string"),
            ("{\"prompt\":\" \"}", "1:11: empty_content: `prompt` is empty"),
            ("{\"prompt\":\"a\\u0000\"}", "1:11: nul: `prompt` has a NUL character"),
            (
                "{\"prompt\":\"a\",\"completion\":[]}",
                "1:28: wrong_type: `completion` is a list, expected a string",
            ),
            (
                "{\"prompt\":\"a\",\"messages\":[]}",
                "1:26: mixed_formats: has `messages` and also `prompt` or `completion`",
            ),
            ("{\"messages\":[]}", "1:13: empty_content: `messages` is empty"),
            ("{\"messages\":{}}", "1:13: wrong_type: `messages` is an object, expected a list"),
            ("{\"messages\":[1]}", "1:14: wrong_type: message 0 is a number, expected an object"),
        ] {
            assert_eq!(found(line), expected);
        }
    }

    #[test]
    fn what_is_wrong_with_the_turns() {
        let turn = |role: &str| format!("{{\"role\":\"{role}\",\"content\":\"x\"}}");
        let of = |roles: &[&str]| {
            let turns: Vec<String> = roles.iter().map(|role| turn(role)).collect();
            found(&format!("{{\"messages\":[{}]}}", turns.join(",")))
        };
        for good in [
            &["user", "assistant"][..],
            &["system", "user", "assistant", "user", "assistant"],
            &["system", "developer", "user", "assistant"],
            &["user", "assistant", "tool", "tool", "assistant"],
        ] {
            assert_eq!(of(good), "");
        }
        for (bad, expected) in [
            (
                &["assistant"][..],
                "1:22: role_order: message 0 has the role `assistant`, which cannot begin a \
                 conversation",
            ),
            (
                &["user", "user"],
                "1:52: role_order: message 1 has the role `user`, which cannot follow `user`",
            ),
            (
                &["user", "system", "assistant"],
                "1:52: role_order: message 1 has the role `system`, which cannot follow `user`",
            ),
            (
                &["user"],
                "1:22: role_order: the conversation ends with `user`, so that nothing is left to \
                 learn",
            ),
        ] {
            assert_eq!(of(bad), expected);
        }
        assert!(
            of(&["critic"]).starts_with("1:22: unknown_role: message 0 has the role \"critic\"")
        );
        let calls = "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"},\
                     {\"role\":\"assistant\",\"content\":null,\"tool_calls\":[1]}]}";
        assert_eq!(found(calls), "");
        let silent = calls.replace("[1]", "null");
        assert_eq!(found(&silent), "1:44: missing_column: message 1 has no `content`");
        let parts = calls.replace("\"x\"", "[{\"text\":\"x\"}]");
        let expected =
            "1:39: wrong_type: message 0 has a `content` that is a list, expected a string";
        assert_eq!(found(&parts), expected);
    }
}
