//! What does a run leave on disk, and how does it survive?
//!
//! [`Checkpoints`] keeps the states of a run: each appears whole or not at all, is verified before
//! it is used, and outlives a kill or a power loss at any instant of a save. [`RunLock`] lets one
//! process at a time into a run directory. [`Fingerprint`] names what must be equal for a resume to
//! be exact, and what changed. [`durable`] replaces single files. [`log`] holds the metrics,
//! completions and TensorBoard events of a running command, and [`listing`] finds runs again.
//!
//! Everything that checkpoints do to a disk goes through the trait [`storage::Storage`], so that
//! tests can take the disk away at any operation.

pub mod durable;
pub mod listing;
pub mod log;
pub mod storage;
#[doc(hidden)]
pub mod testing;

mod checkpoint;
mod error;
mod fingerprint;
mod lock;

pub use checkpoint::{
    Checkpoint, CheckpointWriter, Checkpoints, Damage, Damaged, FileRecord, Manifest,
    NewCheckpoint, Notice, Retention,
};
pub use error::{Error, Space};
pub use fingerprint::{Change, Dataset, Fingerprint, Program};
pub use lock::{Holder, RunLock};
