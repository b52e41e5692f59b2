use std::io::{self, BufRead, Read};

/// Longest line that is accepted unless someone says otherwise: 16 MiB.
pub const DEFAULT_LINE_CAP: usize = 16 << 20;

const MARK: &[u8] = b"\xef\xbb\xbf";

/// A line of a file as bytes, without its end and without a byte order mark.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct RawLine {
    /// Number, from 1.
    pub(super) number: u64,
    /// The bytes; cut at the cap if `too_long`.
    pub(super) bytes: Vec<u8>,
    /// Whether a byte order mark stood in front.
    pub(super) marked: bool,
    /// Whether CR stood before LF.
    pub(super) carriage_return: bool,
    /// Whether the file ends without ending the line.
    pub(super) open: bool,
    /// Whether the line has more bytes than the cap.
    pub(super) too_long: bool,
}

/// Cuts a stream into lines and never holds more of one than the cap.
#[derive(Debug)]
pub(super) struct LineReader<R> {
    reader: R,
    cap: usize,
    number: u64,
    /// The rest of an over-long line is still to be passed over.
    within: bool,
}

impl<R: BufRead> LineReader<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader, cap: DEFAULT_LINE_CAP, number: 0, within: false }
    }

    pub(super) fn set_cap(&mut self, cap: usize) {
        self.cap = cap;
    }

    pub(super) fn cap(&self) -> usize {
        self.cap
    }

    /// The next line; nothing at the end of the file.
    pub(super) fn next(&mut self) -> io::Result<Option<RawLine>> {
        if std::mem::take(&mut self.within) {
            self.reader.skip_until(b'\n')?;
        }
        let mut line = RawLine { number: self.number + 1, ..RawLine::default() };
        // Room for the line end and for one byte that shows the line to be too long.
        let spare = if self.number == 0 { 3 + MARK.len() } else { 3 };
        let limit = (self.cap as u64).saturating_add(spare as u64);
        if (&mut self.reader).take(limit).read_until(b'\n', &mut line.bytes)? == 0 {
            return Ok(None);
        }
        self.number += 1;
        if line.bytes.last() == Some(&b'\n') {
            line.bytes.pop();
            line.carriage_return = line.bytes.last() == Some(&b'\r');
            if line.carriage_return {
                line.bytes.pop();
            }
        } else if line.bytes.len() as u64 == limit {
            self.within = true;
        } else {
            line.open = true;
        }
        if line.number == 1 && line.bytes.starts_with(MARK) {
            line.bytes.drain(..MARK.len());
            line.marked = true;
        }
        line.too_long = line.bytes.len() > self.cap;
        line.bytes.truncate(self.cap);
        Ok(Some(line))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    fn lines(bytes: &[u8], cap: usize) -> Vec<RawLine> {
        let mut reader = LineReader::new(bytes);
        reader.set_cap(cap);
        std::iter::from_fn(|| reader.next().unwrap()).collect()
    }

    #[test]
    fn ends_and_marks_are_told_apart() {
        let lines = lines(b"\xef\xbb\xbfa\r\n\n\xef\xbb\xbfb\nc\r", 9);
        let bytes: Vec<&[u8]> = lines.iter().map(|line| &line.bytes[..]).collect();
        assert_eq!(bytes, [&b"a"[..], b"", b"\xef\xbb\xbfb", b"c\r"]);
        let flags = |line: &RawLine| (line.marked, line.carriage_return, line.open);
        let all: Vec<_> = lines.iter().map(flags).collect();
        let plain = (false, false, false);
        assert_eq!(all, [(true, true, false), plain, plain, (false, false, true)]);
    }

    #[test]
    fn the_cap_counts_neither_mark_nor_end_and_the_next_line_is_read() {
        for mark in [&b""[..], MARK] {
            for end in [&b"\n"[..], b"\r\n"] {
                for length in 3..9 {
                    let line = [mark, &b"x".repeat(length), end, b"next\n"].concat();
                    let lines = lines(&line, 5);
                    assert_eq!(lines.len(), 2, "{line:?}");
                    assert_eq!(lines[0].too_long, length > 5);
                    assert_eq!(lines[0].bytes.len(), length.min(5));
                    assert_eq!((&lines[1].bytes[..], lines[1].number), (&b"next"[..], 2));
                }
            }
        }
    }

    #[test]
    fn an_endless_line_is_reported_before_it_ends() {
        let mut reader = LineReader::new(io::BufReader::new(io::repeat(b'x')));
        reader.set_cap(100);
        assert!(reader.next().unwrap().unwrap().too_long);
    }
}
