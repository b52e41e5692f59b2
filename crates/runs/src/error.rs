use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::checkpoint::Damage;

/// What can go wrong with the files of a run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or directory cannot be used.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried, as in "list" or "lock".
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A new run was to begin where a log of another one stands.
    #[error("{} already holds the log of a run", path.display())]
    LogExists {
        /// The file.
        path: PathBuf,
    },
    /// A checkpoint could not be written. Nothing of it is visible; earlier ones are untouched.
    #[error("checkpoint of step {step} not saved: cannot {action} {} ({space})", path.display())]
    Save {
        /// The step.
        step: u64,
        /// What was tried, as in "write" or "rename".
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Bytes that the checkpoint needs and the file system has.
        space: Space,
        /// What the system said.
        source: io::Error,
    },
    /// Whoever provides the content of a checkpoint failed. Nothing of it is visible.
    #[error("no content for a checkpoint")]
    Content(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A good checkpoint of this step is there already.
    #[error("{} holds a checkpoint of step {step} already", directory.display())]
    AlreadySaved {
        /// The step.
        step: u64,
        /// The directory of checkpoints.
        directory: PathBuf,
    },
    /// There is no good checkpoint of this step.
    #[error("{} holds no checkpoint of step {step}", directory.display())]
    NoSuchStep {
        /// The step.
        step: u64,
        /// The directory of checkpoints.
        directory: PathBuf,
    },
    /// Checkpoints are saved in the order of their steps.
    #[error("step {step} comes before step {latest}, the latest in {}", directory.display())]
    OutOfOrder {
        /// The step that was to be saved.
        step: u64,
        /// The latest step that is there.
        latest: u64,
        /// The directory of checkpoints.
        directory: PathBuf,
    },
    /// The metric of a checkpoint is not finite.
    #[error("the metric of step {step} is {metric}, which is no checkpoint to keep")]
    NonFiniteMetric {
        /// The step.
        step: u64,
        /// The metric.
        metric: f64,
    },
    /// A file name that a checkpoint cannot have.
    #[error("{name:?} cannot name a file of a checkpoint: {problem}")]
    FileName {
        /// The name.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The checkpoint has no file of that name.
    #[error("{} has no file {name:?}", path.display())]
    NoSuchFile {
        /// The checkpoint.
        path: PathBuf,
        /// The name.
        name: String,
    },
    /// A checkpoint that was good is damaged.
    #[error("{} is damaged: {damage}", path.display())]
    Damaged {
        /// The checkpoint.
        path: PathBuf,
        /// What is wrong with it.
        damage: Damage,
    },
    /// A retention that would keep nothing.
    #[error("retention.last is 0: the latest checkpoint is always kept, so at least 1")]
    Retention,
    /// Another process works in the run directory.
    #[error("{} is in use by process {pid} since {since}: {command}", path.display())]
    Locked {
        /// The run directory.
        path: PathBuf,
        /// Process id of the holder.
        pid: u32,
        /// Its command line.
        command: String,
        /// When it took the lock, RFC 3339 in UTC.
        since: String,
    },
    /// Another process holds the lock of the run directory and has not said who it is.
    #[error("{} is in use by another process", path.display())]
    LockedByUnknown {
        /// The run directory.
        path: PathBuf,
    },
}

impl Error {
    /// For `map_err`: the system's error with what was tried on which path.
    pub(crate) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }

    /// The error of whoever provides the content of a checkpoint.
    pub fn content(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Content(source.into())
    }

    /// Whether the same call may succeed later: a disk that is full, read-only or failing may
    /// recover.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Save { .. })
    }
}

/// Bytes that a checkpoint needs, and that the file system has free for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Bytes of all its files.
    pub needed: u64,
    /// Bytes free after the attempt was cleared away, where the system says.
    pub free: Option<u64>,
}

impl fmt::Display for Space {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "needs {}, ", Bytes(self.needed))?;
        match self.free {
            Some(free) => write!(out, "{} free", Bytes(free)),
            None => out.write_str("free space unknown"),
        }
    }
}

/// A number of bytes for people: decimal units, three digits.
struct Bytes(u64);

impl fmt::Display for Bytes {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units =
            [(1_000_000_000_000, "TB"), (1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
        match units.into_iter().find(|(unit, _)| self.0 >= *unit) {
            Some((unit, name)) => write!(out, "{:.1} {name}", self.0 as f64 / unit as f64),
            None => write!(out, "{} bytes", self.0),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_in_numbers() {
        let error = Error::Save {
            step: 12,
            action: "write",
            path: "checkpoints/tmp-00000012/model".into(),
            space: Space { needed: 1_234_567_890, free: Some(999) },
            source: io::ErrorKind::StorageFull.into(),
        };
        let text = "checkpoint of step 12 not saved: cannot write checkpoints/tmp-00000012/model \
                    (needs 1.2 GB, 999 bytes free)";
        assert_eq!(error.to_string(), text);
        assert!(error.is_retryable());
        assert!(!Error::Retention.is_retryable());
    }
}
