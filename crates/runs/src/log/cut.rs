use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use serde_json::Value;

use super::notice::Notice;
use crate::Error;

/// What a log keeps when its run resumes.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// What was dropped, in words.
    pub(super) notices: Vec<Notice>,
    /// The last line that stays.
    pub(super) last: Option<Value>,
}

/// Cuts a log off behind the lines of `step`: from the first line of a later step on, everything
/// goes, and so does a last line that was cut short. Shortening a file is one step of the file
/// system and needs no space. A file that is not there holds nothing.
pub(super) fn cut_after(folder: &Path, name: &str, step: u64) -> Result<Kept, Error> {
    let path = folder.join(name);
    let file = match OpenOptions::new().read(true).write(true).open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Kept::default()),
        Err(error) => return Err(Error::io("open", &path)(error)),
    };
    cut(&file, name, step).map_err(Error::io("shorten", &path))
}

fn cut(file: &File, name: &str, step: u64) -> io::Result<Kept> {
    let mut kept = Kept::default();
    let mut reader = BufReader::new(file);
    let (mut end, mut number) = (0, 0);
    let (mut dropped, mut unreadable, mut first_unreadable) = (0, 0, 0);
    let mut torn = None;
    let mut line = Vec::new();
    loop {
        line.clear();
        if reader.read_until(b'\n', &mut line)? == 0 {
            break;
        }
        number += 1;
        if !line.ends_with(b"\n") {
            torn = Some(number);
            break;
        }
        let value = serde_json::from_slice::<Value>(&line).ok();
        let at = value.as_ref().and_then(|value| value["step"].as_u64());
        if dropped > 0 || at.is_some_and(|at| at > step) {
            dropped += 1;
            continue;
        }
        if at.is_none() {
            unreadable += 1;
            if unreadable == 1 {
                first_unreadable = number;
            }
        } else {
            kept.last = value;
        }
        end += line.len() as u64;
    }
    if dropped > 0 || torn.is_some() {
        file.set_len(end)?;
        file.sync_all()?;
    }
    let file = name.to_owned();
    if unreadable > 0 {
        let (file, first) = (file.clone(), first_unreadable);
        kept.notices.push(Notice::Unreadable { file, lines: unreadable, first });
    }
    if dropped > 0 {
        kept.notices.push(Notice::Dropped { file: file.clone(), lines: dropped, step });
    }
    if let Some(line) = torn {
        kept.notices.push(Notice::Torn { file, line });
    }
    Ok(kept)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    fn cut_text(text: &str, step: u64) -> (String, Vec<Notice>, Option<u64>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl");
        std::fs::write(&path, text).unwrap();
        let kept = cut_after(folder.path(), "a.jsonl", step).unwrap();
        let last = kept.last.and_then(|line| line["step"].as_u64());
        (std::fs::read_to_string(&path).unwrap(), kept.notices, last)
    }

    #[test]
    fn later_lines_and_a_torn_one_go_and_are_named() {
        let file = || "a.jsonl".to_owned();
        let text = "{\"step\":1}\n{\"step\":2}\n{\"step\":3}\n{\"step\":4}\n{\"st";
        assert_eq!(
            cut_text(text, 2),
            (
                "{\"step\":1}\n{\"step\":2}\n".into(),
                vec![
                    Notice::Dropped { file: file(), lines: 2, step: 2 },
                    Notice::Torn { file: file(), line: 5 }
                ],
                Some(2)
            )
        );
        // A whole last line without its newline is torn too: the next line would be glued to it.
        let (text, notices, _) = cut_text("{\"step\":1}\n{\"step\":2}", 2);
        assert_eq!(text, "{\"step\":1}\n");
        assert_eq!(notices, [Notice::Torn { file: file(), line: 2 }]);
    }

    #[test]
    fn what_nobody_knows_stays_and_is_named() {
        let text = "{\"step\":1}\nhello\n\u{0}\n{\"step\":2}\n";
        let (after, notices, last) = cut_text(text, 9);
        assert_eq!((after.as_str(), last), (text, Some(2)));
        let expected = Notice::Unreadable { file: "a.jsonl".into(), lines: 2, first: 2 };
        assert_eq!(notices, [expected]);
    }

    #[test]
    fn nothing_to_drop_is_nothing_to_say() {
        assert_eq!(cut_text("", 0), (String::new(), vec![], None));
        let kept = cut_after(Path::new("/nonexistent"), "a.jsonl", 3).unwrap();
        assert!(kept.notices.is_empty() && kept.last.is_none());
    }
}
