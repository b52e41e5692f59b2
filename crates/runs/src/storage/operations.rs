use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::path::Path;

/// A file system without links.
///
/// Only what was synced survives a power loss: a file's bytes by [`StorageFile::sync`], the names in
/// a directory by [`Storage::sync_directory`]. A clone is another handle on the same files.
pub trait Storage: Clone {
    /// A file that is being written.
    type File: StorageFile;

    /// Creates an empty file under a name that is free.
    ///
    /// # Errors
    /// The name is taken, or the system refuses.
    fn create(&self, path: &Path) -> io::Result<Self::File>;

    /// Creates a directory under a name that is free.
    ///
    /// # Errors
    /// The name is taken, or the system refuses.
    fn make_directory(&self, path: &Path) -> io::Result<()>;

    /// Gives a file or directory another name in the same directory. A file of that name is
    /// replaced, as one step.
    ///
    /// # Errors
    /// The system refuses.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Makes the names in a directory durable.
    ///
    /// # Errors
    /// The system refuses.
    fn sync_directory(&self, path: &Path) -> io::Result<()>;

    /// Removes a file, or a link without following it.
    ///
    /// # Errors
    /// There is none, or the system refuses.
    fn remove_file(&self, path: &Path) -> io::Result<()>;

    /// Removes an empty directory.
    ///
    /// # Errors
    /// There is none, it is not empty, or the system refuses.
    fn remove_directory(&self, path: &Path) -> io::Result<()>;

    /// What stands in a directory, ordered by name.
    ///
    /// # Errors
    /// There is none, or the system refuses.
    fn list(&self, path: &Path) -> io::Result<Vec<Entry>>;

    /// Opens an ordinary file to read, and says how many bytes it has.
    ///
    /// # Errors
    /// There is none, it is not an ordinary file (a link is not), or the system refuses.
    fn open(&self, path: &Path) -> io::Result<(u64, Box<dyn Read>)>;

    /// Bytes that the file system of `path` has free for us, where it says.
    fn free_bytes(&self, path: &Path) -> Option<u64>;
}

/// A file that is being written.
pub trait StorageFile: Write {
    /// Makes the bytes written so far durable.
    ///
    /// # Errors
    /// The system refuses. What was written may then be lost even if a later call succeeds.
    fn sync(&mut self) -> io::Result<()>;
}

/// What stands under a name in a directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// The name.
    pub name: OsString,
    /// What it is.
    pub kind: Kind,
}

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// An ordinary file.
    File,
    /// A directory.
    Directory,
    /// A link, a socket or another thing that no run writes.
    Other,
}
