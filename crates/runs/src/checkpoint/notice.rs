use std::fmt;
use std::io;
use std::path::PathBuf;

/// Something that happened to the checkpoints of a run and that its owner should read.
#[derive(Debug)]
#[non_exhaustive]
pub enum Notice {
    /// An unfinished save, or what was left of a removal, was cleared away.
    LeftoverRemoved {
        /// What it was.
        path: PathBuf,
    },
    /// An unfinished save could not be cleared away. It does no harm but takes space.
    LeftoverKept {
        /// What it is.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A checkpoint is damaged and not used; the one before it is.
    FellBack {
        /// The damaged checkpoint.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
        /// The newest good checkpoint, if there is one.
        to: Option<u64>,
    },
    /// A checkpoint that is not the newest is damaged.
    Damaged {
        /// The damaged checkpoint.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// `LATEST` names a checkpoint that is not there.
    LatestMissing {
        /// What it says, cut to 80 characters.
        named: String,
        /// The newest good checkpoint, if there is one.
        to: Option<u64>,
    },
    /// `LATEST` could not be brought up to date or read. It decides nothing.
    LatestFailed {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A checkpoint that is no longer kept could not be removed. The next save tries again.
    NotRemoved {
        /// The checkpoint.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Something unreadable stood where a checkpoint was saved, and was given another name.
    SetAside {
        /// The name it had.
        from: PathBuf,
        /// The name it has.
        to: PathBuf,
    },
}

impl fmt::Display for Notice {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let instead = |to: &Option<u64>| match to {
            Some(step) => format!("using step {step}"),
            None => "no good checkpoint is left".to_owned(),
        };
        match self {
            Self::LeftoverRemoved { path } => {
                write!(out, "removed {}, left by an interrupted save", path.display())
            }
            Self::LeftoverKept { path, source } => {
                write!(
                    out,
                    "cannot remove {}, left by an interrupted save: {source}",
                    path.display()
                )
            }
            Self::FellBack { path, reason, to } => {
                write!(out, "not using {}: {reason}; {}", path.display(), instead(to))
            }
            Self::Damaged { path, reason } => {
                write!(out, "{} is damaged: {reason}", path.display())
            }
            Self::LatestMissing { named, to } => {
                write!(out, "LATEST names {named:?}, which is not there; {}", instead(to))
            }
            Self::LatestFailed { path, source } => {
                write!(out, "{} is not up to date: {source}", path.display())
            }
            Self::NotRemoved { path, source } => {
                write!(out, "cannot remove {}, trying again later: {source}", path.display())
            }
            Self::SetAside { from, to } => {
                write!(out, "{} cannot be read; it is now {}", from.display(), to.display())
            }
        }
    }
}
