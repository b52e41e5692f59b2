use std::io;
use std::path::PathBuf;

/// A directory with the name of a checkpoint that is none.
#[derive(Debug)]
pub struct Damaged {
    /// The step in its name.
    pub step: u64,
    /// The directory.
    pub path: PathBuf,
    /// What is wrong with it.
    pub damage: Damage,
}

/// What is wrong with a checkpoint.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    /// The name is not that of a directory.
    #[error("it is not a directory")]
    NotADirectory,
    /// A file is not there.
    #[error("{name} is missing")]
    Missing {
        /// The file.
        name: String,
    },
    /// A file is there and cannot be read. It may be readable again one day.
    #[error("{name} cannot be read: {source}")]
    Unreadable {
        /// The file.
        name: String,
        /// What the system said.
        source: io::Error,
    },
    /// A file has another size than it was written with.
    #[error("{name} has {actual} bytes, expected {expected}")]
    Size {
        /// The file.
        name: String,
        /// Bytes written.
        expected: u64,
        /// Bytes found.
        actual: u64,
    },
    /// A file has another content than was written.
    #[error("the content of {name} changed: blake3 {actual}, expected {expected}")]
    Hash {
        /// The file.
        name: String,
        /// Hash of what was written.
        expected: String,
        /// Hash of what is there.
        actual: String,
    },
    /// The manifest is no manifest.
    #[error("the manifest is broken: {0}")]
    Manifest(String),
    /// The manifest was written by another version of the program.
    #[error("the manifest has the format {found:?}, this program reads {expected:?}")]
    Format {
        /// Format found.
        found: String,
        /// Format that is read.
        expected: &'static str,
    },
    /// The manifest belongs to another directory.
    #[error("the manifest is that of step {found}")]
    Step {
        /// Step in the manifest.
        found: u64,
    },
}

impl Damage {
    /// Whether the checkpoint is of no use to anyone. One that cannot be read now, or not by this
    /// program, is never removed.
    pub fn is_certain(&self) -> bool {
        !matches!(self, Self::Unreadable { .. } | Self::Format { .. } | Self::NotADirectory)
    }
}
