//! States of a run that can be resumed.
//!
//! ```text
//! checkpoints/
//!   LATEST                 name of the newest, for people and scripts
//!   step-00000040/         a checkpoint: files, and a manifest with the size and hash of each
//!     MANIFEST.json
//!     model.safetensors
//!   tmp-00000050/          a save under way, or what a crash left of one
//!   unreadable-00000030-0/ something that stood where step 30 was saved and could not be read
//! ```
//!
//! A save writes and syncs each file in `tmp-<step>`, then the manifest, syncs the directory,
//! renames it to `step-<step>`, syncs the parent, replaces `LATEST`, and only then removes
//! checkpoints that are no longer kept. A directory is a checkpoint if its manifest can be read and
//! every size and hash agrees. `LATEST` decides nothing. Names that begin with `tmp-` are ours to
//! remove; all others that are not listed above are left alone.

mod checkpoints;
mod damage;
mod manifest;
mod measure;
mod names;
mod notice;
mod open;
mod prune;
mod read;
mod retention;
mod save;
mod writer;

pub use checkpoints::{Checkpoints, NewCheckpoint};
pub use damage::{Damage, Damaged};
pub use manifest::{FileRecord, Manifest};
pub use notice::Notice;
pub use read::Checkpoint;
pub use retention::Retention;
pub use writer::CheckpointWriter;
