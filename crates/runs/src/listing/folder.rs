use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::run::{Run, lossy, name_of, open};
use crate::Error;

/// The runs of a folder.
#[derive(Clone, Debug, Serialize)]
pub struct Listing {
    /// The folder.
    #[serde(serialize_with = "lossy")]
    pub folder: PathBuf,
    /// Its runs: those that say when they began by that time, then the others by name.
    pub runs: Vec<Run>,
    /// Directories in it that are not runs, or not readable as one, by name.
    pub others: Vec<NotARun>,
}

/// A directory that is not a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NotARun {
    /// Its name.
    pub name: String,
    /// The directory.
    #[serde(serialize_with = "lossy")]
    pub path: PathBuf,
    /// Why it is not one.
    pub reason: String,
}

/// Reads every directory in a folder. Files beside them are none of its business.
///
/// # Errors
/// [`Error::Io`] if the folder itself cannot be read.
pub fn list(folder: &Path) -> Result<Listing, Error> {
    let mut listing = Listing { folder: folder.to_owned(), runs: Vec::new(), others: Vec::new() };
    for entry in fs::read_dir(folder).map_err(Error::io("list", folder))? {
        let path = entry.map_err(Error::io("list", folder))?.path();
        // A link that leads nowhere has no metadata and is named below.
        if fs::metadata(&path).is_ok_and(|about| !about.is_dir()) {
            continue;
        }
        match open(&path) {
            Ok(run) => listing.runs.push(run),
            Err(reason) => listing.others.push(NotARun { name: name_of(&path), path, reason }),
        }
    }
    let key = |run: &Run| (run.created.is_none(), run.created.clone(), run.name.clone());
    listing.runs.sort_by_key(key);
    listing.others.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(listing)
}
