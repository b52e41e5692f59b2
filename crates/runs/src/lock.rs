//! One process at a time in a run directory.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::Error;

/// The file whose lock says that a process works on the run.
pub(crate) const NAME: &str = "run.lock";
/// Longest description of a holder that is read.
const LIMIT: u64 = 64 * 1024;
/// A holder writes who it is just after it took the lock.
const ATTEMPTS: u32 = 10;
const PAUSE: Duration = Duration::from_millis(50);

/// The right to write in a run directory. It ends with the value, or with the process however that
/// ends; the system sees to it.
#[derive(Debug)]
pub struct RunLock {
    file: File,
}

/// The process that works in a run directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Process id.
    pub pid: u32,
    /// Command line.
    pub command: String,
    /// When it took the lock, RFC 3339 in UTC.
    pub since: String,
}

impl RunLock {
    /// Takes the lock of a run directory, which is made if it is not there.
    ///
    /// # Errors
    /// [`Error::Locked`] if another process has it, [`Error::Io`] if the directory cannot be written
    /// to or its file system has no locks.
    pub fn acquire(run_dir: &Path) -> Result<Self, Error> {
        let io = |action, source| Error::Io { action, path: run_dir.to_owned(), source };
        fs::create_dir_all(run_dir).map_err(|error| io("create", error))?;
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(run_dir.join(NAME))
            .map_err(|error| io("write in", error))?;
        let mut holder = None;
        // More than once: `holder` may be looking, and a new holder may not have said its name yet.
        for attempt in 0..ATTEMPTS {
            match file.try_lock() {
                Ok(()) => {
                    let lock = Self { file };
                    lock.sign().map_err(|error| io("write in", error))?;
                    return Ok(lock);
                }
                Err(TryLockError::Error(error)) => return Err(io("lock", error)),
                Err(TryLockError::WouldBlock) => holder = read(&mut file),
            }
            if attempt + 1 < ATTEMPTS {
                std::thread::sleep(PAUSE);
            }
        }
        let path = run_dir.to_owned();
        Err(match holder {
            Some(Holder { pid, command, since }) => Error::Locked { path, pid, command, since },
            None => Error::LockedByUnknown { path },
        })
    }

    /// Who works in a run directory, `None` if nobody does. The answer may be out of date at once.
    ///
    /// # Errors
    /// [`Error::LockedByUnknown`] if the holder has not said who it is, [`Error::Io`].
    pub fn holder(run_dir: &Path) -> Result<Option<Holder>, Error> {
        let io = |action, source| Error::Io { action, path: run_dir.join(NAME), source };
        let mut file = match File::open(run_dir.join(NAME)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io("open", error)),
        };
        for _ in 0..ATTEMPTS {
            match file.try_lock_shared() {
                Ok(()) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(io("lock", error)),
                Err(TryLockError::WouldBlock) => {}
            }
            if let Some(holder) = read(&mut file) {
                return Ok(Some(holder));
            }
            std::thread::sleep(PAUSE);
        }
        Err(Error::LockedByUnknown { path: run_dir.to_owned() })
    }

    /// Writes who holds the lock into its file.
    fn sign(&self) -> io::Result<()> {
        let command: Vec<_> =
            std::env::args_os().map(|a| a.to_string_lossy().into_owned()).collect();
        let holder = Holder {
            pid: std::process::id(),
            command: command.join(" "),
            since: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
        };
        self.file.set_len(0)?;
        let mut file = &self.file;
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&serde_json::to_vec(&holder)?)
    }
}

impl Drop for RunLock {
    fn drop(&mut self) {
        // So that nobody reads the name of a past holder. If it fails, the lock ends all the same.
        let _ = self.file.set_len(0);
    }
}

/// The holder named in a lock's file, `None` if there is none or it is half written.
fn read(file: &mut File) -> Option<Holder> {
    file.seek(SeekFrom::Start(0)).ok()?;
    let mut text = Vec::new();
    file.take(LIMIT).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}
