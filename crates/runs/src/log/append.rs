use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use super::notice::Notice;
use crate::Error;

/// Bytes that may wait for a disk that refuses them; beyond that the oldest are given up.
const MOST_WAITING: usize = 4 << 20;
/// After the first failed write, every so many are told.
const TELL_EVERY: u64 = 100;

/// A file that grows by whole units: lines or records.
///
/// A unit is in the file whole or not at all: what a failed write left of it is cut off again.
/// Units that could not be written wait and are tried at the next write.
pub(super) struct Appender<S = File> {
    /// The file's name in notices.
    name: String,
    store: S,
    /// Length of the file, all of it whole units.
    end: u64,
    /// Whether the file may be longer than `end`.
    torn: bool,
    waiting: VecDeque<Vec<u8>>,
    waiting_bytes: usize,
    most_waiting: usize,
    /// Units given up for good.
    given_up: u64,
    /// Failed writes since the last one that succeeded.
    failures: u64,
}

/// Where the bytes go; a file, but in tests.
pub(super) trait Store {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    fn cut(&mut self, length: u64) -> io::Result<()>;
}

impl Store for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }
}

impl Appender<File> {
    /// Opens or creates `folder/name` to append to it.
    pub(super) fn open(folder: &Path, name: &str) -> Result<Self, Error> {
        let path = folder.join(name);
        let open = || {
            let file = OpenOptions::new().create(true).append(true).open(&path)?;
            let end = file.metadata()?.len();
            Ok((file, end))
        };
        let (file, end) = open().map_err(Error::io("open", &path))?;
        Ok(Self::new(name, file, end))
    }
}

impl<S: Store> Appender<S> {
    fn new(name: &str, store: S, end: u64) -> Self {
        Self {
            name: name.to_owned(),
            store,
            end,
            torn: false,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            most_waiting: MOST_WAITING,
            given_up: 0,
            failures: 0,
        }
    }

    /// Appends a unit, behind those that wait.
    pub(super) fn append(&mut self, unit: Vec<u8>) -> Option<Notice> {
        self.waiting_bytes += unit.len();
        self.waiting.push_back(unit);
        let written = match self.write_waiting() {
            Ok(written) => written,
            Err(error) => return self.failed(&error),
        };
        let failures = std::mem::take(&mut self.failures);
        (failures > 0).then(|| Notice::Recovered {
            file: self.name.clone(),
            // The unit of this call did not wait.
            written: written.saturating_sub(1),
            lost: self.given_up,
        })
    }

    /// Units that are not in the file: those that wait and those given up.
    pub(super) fn lost(&self) -> u64 {
        self.given_up + self.waiting.len() as u64
    }

    fn write_waiting(&mut self) -> io::Result<u64> {
        let mut written = 0;
        while let Some(unit) = self.waiting.front() {
            if self.torn {
                self.store.cut(self.end)?;
                self.torn = false;
            }
            // Until it is known to be whole.
            self.torn = true;
            self.store.append(unit)?;
            self.torn = false;
            self.end += unit.len() as u64;
            self.waiting_bytes -= unit.len();
            self.waiting.pop_front();
            written += 1;
        }
        Ok(written)
    }

    fn failed(&mut self, error: &io::Error) -> Option<Notice> {
        // At once, so that the file is readable while the disk stays full; else before the next write.
        self.torn = self.torn && self.store.cut(self.end).is_err();
        while self.waiting_bytes > self.most_waiting {
            let Some(oldest) = self.waiting.pop_front() else { break };
            self.waiting_bytes -= oldest.len();
            self.given_up += 1;
        }
        self.failures += 1;
        let tell = self.failures == 1 || self.failures.is_multiple_of(TELL_EVERY);
        tell.then(|| Notice::WriteFailed {
            file: self.name.clone(),
            failures: self.failures,
            waiting: self.waiting.len() as u64,
            lost: self.given_up,
            cause: error.to_string(),
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    /// A disk with room for `room` bytes that, full, takes what still fits, as a real one does.
    struct Disk {
        bytes: Vec<u8>,
        room: usize,
        /// Whether even shortening the file fails.
        stuck: bool,
    }

    impl Store for Disk {
        fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
            let fits = bytes.len().min(self.room.saturating_sub(self.bytes.len()));
            self.bytes.extend(&bytes[..fits]);
            match fits == bytes.len() {
                true => Ok(()),
                false => Err(io::Error::from(io::ErrorKind::StorageFull)),
            }
        }

        fn cut(&mut self, length: u64) -> io::Result<()> {
            match self.stuck {
                true => Err(io::Error::from(io::ErrorKind::ReadOnlyFilesystem)),
                false => {
                    self.bytes.truncate(length as usize);
                    Ok(())
                }
            }
        }
    }

    fn appender(room: usize) -> Appender<Disk> {
        Appender::new("metrics.jsonl", Disk { bytes: Vec::new(), room, stuck: false }, 0)
    }

    fn line(text: &str) -> Vec<u8> {
        format!("{text}\n").into_bytes()
    }

    #[test]
    fn row_16_a_full_disk_keeps_whole_lines_and_the_rest_waits() {
        let mut log = appender(10);
        assert_eq!(log.append(line("first")), None);
        let notice = log.append(line("second")).unwrap();
        assert!(matches!(notice, Notice::WriteFailed { failures: 1, waiting: 1, lost: 0, .. }));
        assert!(notice.is_warning());
        assert_eq!(log.store.bytes, b"first\n", "no half line stays");
        assert_eq!(log.append(line("third")), None, "told once");
        assert_eq!(log.lost(), 2);

        log.store.room = 1000;
        let notice = log.append(line("fourth")).unwrap();
        assert_eq!(notice, Notice::Recovered { file: "metrics.jsonl".into(), written: 2, lost: 0 });
        assert_eq!(log.store.bytes, b"first\nsecond\nthird\nfourth\n");
        assert_eq!(log.lost(), 0);
    }

    #[test]
    fn row_16_every_hundredth_failure_is_told() {
        let mut log = appender(0);
        let told: Vec<u64> = (1..=250)
            .filter_map(|_| match log.append(line("x")) {
                Some(Notice::WriteFailed { failures, .. }) => Some(failures),
                other => {
                    assert_eq!(other, None);
                    None
                }
            })
            .collect();
        assert_eq!(told, [1, 100, 200]);
    }

    #[test]
    fn row_16_what_waits_is_bounded_and_what_is_given_up_is_counted() {
        let mut log = appender(0);
        log.most_waiting = 20;
        for index in 0..10 {
            log.append(line(&format!("line {index}")));
        }
        assert_eq!((log.waiting.len(), log.given_up, log.lost()), (2, 8, 10));
        log.store.room = 1000;
        let notice = log.append(line("end")).unwrap();
        assert_eq!(notice, Notice::Recovered { file: "metrics.jsonl".into(), written: 2, lost: 8 });
        assert!(notice.is_warning());
        assert_eq!(log.store.bytes, b"line 8\nline 9\nend\n");
    }

    #[test]
    fn row_16_a_half_line_that_cannot_be_cut_off_is_cut_off_before_the_next_write() {
        let mut log = appender(9);
        log.append(line("first"));
        log.store.stuck = true;
        log.append(line("second"));
        assert_eq!(log.store.bytes, b"first\nsec");
        log.store.room = 1000;
        log.append(line("third"));
        assert_eq!(log.store.bytes, b"first\nsec", "nothing may follow half a line");
        log.store.stuck = false;
        log.append(line("fourth"));
        assert_eq!(log.store.bytes, b"first\nsecond\nthird\nfourth\n");
    }
}
