//! What to say about a path that is not there, or a word that is not known.

use std::fs;
use std::path::{Path, PathBuf};

use crate::exit::UsageError;

/// Fails with a usage error unless `path` is a file that is there.
pub(crate) fn require_file(path: &Path) -> Result<(), UsageError> {
    if path.is_file() {
        Ok(())
    } else if path.is_dir() {
        Err(UsageError::new(format!("{} is a directory, not a file", path.display()))
            .hint("name a file in it"))
    } else {
        Err(missing(path))
    }
}

/// Fails with a usage error unless `path` is a directory that is there.
pub(crate) fn require_directory(path: &Path) -> Result<(), UsageError> {
    if path.is_dir() {
        Ok(())
    } else if path.exists() {
        Err(UsageError::new(format!("{} is a file, not a directory", path.display()))
            .hint("name the directory that holds it"))
    } else {
        Err(missing(path))
    }
}

/// The usage error for a path that is not there, with the nearest name that is.
fn missing(path: &Path) -> UsageError {
    let error = UsageError::new(format!("{} does not exist", path.display()));
    match nearest_path(path) {
        Some(near) => error.hint(format!("did you mean {}?", near.display())),
        None => error.hint("check the path"),
    }
}

/// `path` with its first wrong component replaced by the most similar name beside it.
fn nearest_path(path: &Path) -> Option<PathBuf> {
    let mut parent = PathBuf::new();
    for component in path.components() {
        let next = parent.join(component);
        if next.exists() {
            parent = next;
            continue;
        }
        let wanted = component.as_os_str().to_str()?;
        let directory = if parent.as_os_str().is_empty() { Path::new(".") } else { &parent };
        let names = fs::read_dir(directory).ok()?;
        let names = names.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        return Some(parent.join(nearest(wanted, names)?));
    }
    None
}

/// The most similar of `candidates`, if any is within one edit for every three characters.
pub(crate) fn nearest(wanted: &str, candidates: impl Iterator<Item = String>) -> Option<String> {
    let most = (wanted.chars().count() / 3).max(1);
    candidates
        .map(|name| (strsim::damerau_levenshtein(wanted, &name), name))
        .filter(|(distance, name)| *distance <= most && *distance < name.chars().count())
        .min()
        .map(|(_, name)| name)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn the_first_wrong_component_is_put_right() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("models/base")).unwrap();
        let near = |path: &str| nearest_path(&folder.path().join(path));
        let path = |path: &str| Some(folder.path().join(path));
        assert_eq!(near("models/bsae"), path("models/base"));
        assert_eq!(near("model/base"), path("models"));
        assert_eq!(near("elsewhere/base"), None);
        assert_eq!(near("models/base"), None);
    }

    #[test]
    fn similar_words_only() {
        let words = || ["sudoku", "target", "x", ":"].map(str::to_owned).into_iter();
        assert_eq!(nearest("soduku", words()).as_deref(), Some("sudoku"));
        assert_eq!(nearest("countdown", words()), None);
        assert_eq!(nearest("y", words()), None);
    }
}
