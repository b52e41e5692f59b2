//! The operations on a disk that checkpoints are made of.
//!
//! [`Disk`] is the file system; the tests use one that fails, and that shows what a power loss may
//! leave.

mod disk;
mod operations;
mod tree;

pub use disk::Disk;
pub use operations::{Entry, Kind, Storage, StorageFile};
pub use tree::{ensure_directory, remove_tree};
