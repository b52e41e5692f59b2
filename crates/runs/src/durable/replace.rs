use std::io::{self, Write};
use std::path::Path;

use tempfile::NamedTempFile;

use super::{folder_of, sync_directory};

/// A file to write to beside `path`, which is to become `path` by [`persist`].
///
/// # Errors
/// The directory of `path` cannot be written to.
pub fn stage_beside(path: &Path) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".afterthought-");
    // Temporary files are private by default; a result is an ordinary file (less the umask).
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.tempfile_in(folder_of(path))
}

/// Gives a staged file its name, durably: the content first, then the name.
///
/// # Errors
/// The file cannot be synced or renamed (then `path` is untouched), or its directory not synced
/// (then `path` is the new file, which a power loss may still undo).
pub fn persist(staged: NamedTempFile, path: &Path) -> io::Result<()> {
    staged.as_file().sync_all()?;
    staged.persist(path).map_err(|error| error.error)?;
    sync_directory(folder_of(path))
}

/// [`persist`] where nothing has the name yet.
///
/// # Errors
/// Something has the name, or as [`persist`].
pub fn persist_new(staged: NamedTempFile, path: &Path) -> io::Result<()> {
    staged.as_file().sync_all()?;
    staged.persist_noclobber(path).map_err(|error| error.error)?;
    sync_directory(folder_of(path))
}

/// Replaces a file as one step: readers see the old or the new one, never half of either, and the
/// new one survives a power loss.
///
/// # Errors
/// As [`persist`].
pub fn replace_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = stage_beside(path)?;
    file.write_all(bytes)?;
    persist(file, path)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use std::fs;

    use super::*;
    use crate::durable::read_if_there;

    #[test]
    fn the_new_content_stands_alone_under_the_name() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state.json");
        assert_eq!(read_if_there(&path).unwrap(), None);
        replace_file(&path, b"a longer first content").unwrap();
        replace_file(&path, b"second").unwrap();
        assert_eq!(read_if_there(&path).unwrap().as_deref(), Some("second"));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_new_file_replaces_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("result");
        for (content, expected) in [(b"a", true), (b"b", false)] {
            let mut staged = stage_beside(&path).unwrap();
            staged.write_all(content).unwrap();
            assert_eq!(persist_new(staged, &path).is_ok(), expected);
        }
        assert_eq!(fs::read(&path).unwrap(), b"a");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_failure_leaves_the_old_content_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        // A directory of that name cannot be replaced by a file.
        let path = directory.path().join("taken");
        fs::create_dir(&path).unwrap();
        replace_file(&path, b"new").unwrap_err();
        assert!(path.is_dir());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
