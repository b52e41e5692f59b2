//! Directories that a run writes to: how much room they have, and whether they take a file.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Serialize;

use afterthought_runs::durable::replace_file;

/// A directory and what was found.
#[derive(Debug, Serialize)]
pub(super) struct Directory {
    /// What it is for.
    pub(super) role: &'static str,
    pub(super) path: String,
    /// On its file system.
    pub(super) free_bytes: Option<u64>,
    /// Why no file could be written, synced and renamed there.
    pub(super) problem: Option<String>,
}

impl Directory {
    /// Looks at a directory, or where it is not there yet at the one that it would be made in.
    pub(super) fn look(role: &'static str, path: &Path) -> Self {
        let there = nearest_there(path);
        let text = there.to_string_lossy().into_owned();
        Self { role, path: text, free_bytes: free(&there), problem: try_to_write(&there).err() }
    }
}

fn nearest_there(path: &Path) -> PathBuf {
    let there = path.ancestors().find(|path| path.is_dir());
    there.filter(|path| !path.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned()
}

/// Writes a file as results are written, and removes it.
fn try_to_write(directory: &Path) -> Result<(), String> {
    let path = directory.join(format!(".afterthought-doctor-{}", std::process::id()));
    let written = replace_file(&path, b"a file of `afterthought doctor`\n");
    let removed = fs::remove_file(&path);
    written.and(removed).map_err(|error| error.to_string())
}

/// What `df` says of a directory: the standard library cannot ask.
fn free(directory: &Path) -> Option<u64> {
    let output = Command::new("df").arg("-Pk").arg("--").arg(directory).output().ok()?;
    parse_df(&String::from_utf8_lossy(&output.stdout))
}

/// The fourth column of the second line, in KiB; the format is POSIX's.
fn parse_df(text: &str) -> Option<u64> {
    let line = text.lines().nth(1)?;
    let kibibytes: u64 = line.split_whitespace().nth(3)?.parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_df_prints() {
        let text = "Filesystem 1024-blocks Used Available Capacity Mounted on\n\
                    /dev/root 100 40 60 40% /\n";
        assert_eq!(parse_df(text), Some(60 * 1024));
        assert_eq!(parse_df("df: .: No such file\n"), None);
    }

    #[test]
    fn row_28_a_directory_of_any_name_is_tried_and_left_as_it_was() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("with spaces\nand π");
        fs::create_dir(&folder).unwrap();
        let found = Directory::look("output", &folder.join("runs/not there yet"));
        assert_eq!((found.problem, found.path), (None, folder.to_string_lossy().into_owned()));
        assert!(found.free_bytes.is_some());
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    }

    #[test]
    fn a_relative_path_begins_here() {
        assert_eq!(nearest_there(Path::new("no such directory")), Path::new("."));
    }
}
