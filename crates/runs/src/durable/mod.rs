//! Files that are there whole or not at all, and stay there after a power loss.

mod directory;
mod read;
mod replace;

pub use directory::{folder_of, sync_directory};
pub use read::read_if_there;
pub use replace::{persist, persist_new, replace_file, stage_beside};
