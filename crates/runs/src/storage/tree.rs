use std::io;
use std::path::Path;

use super::{Kind, Storage};
use crate::durable::folder_of;

/// Makes a directory and those it lies in, durably, where they are not there.
///
/// # Errors
/// The system refuses, or something else has the name.
pub fn ensure_directory(storage: &impl Storage, path: &Path) -> io::Result<()> {
    match storage.list(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
        Ok(_) => return Ok(()),
    }
    let parent = folder_of(path);
    // "." is always there; anything else that cannot be found has a parent to be made first.
    if parent != path {
        ensure_directory(storage, parent)?;
    }
    storage.make_directory(path)?;
    storage.sync_directory(parent)
}

/// Removes a directory with everything in it. Links are removed, not followed.
///
/// # Errors
/// The system refuses; what was removed until then is gone.
pub fn remove_tree(storage: &impl Storage, path: &Path) -> io::Result<()> {
    for entry in storage.list(path)? {
        let path = path.join(&entry.name);
        match entry.kind {
            Kind::Directory => remove_tree(storage, &path)?,
            Kind::File | Kind::Other => storage.remove_file(&path)?,
        }
    }
    storage.remove_directory(path)
}
