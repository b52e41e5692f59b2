use std::path::Path;
use std::{fs, io};

use crate::Error;

/// The text of a file, `None` where there is no such file.
///
/// # Errors
/// [`Error::Io`] if the file is there and cannot be read, or is not UTF-8.
pub fn read_if_there(path: &Path) -> Result<Option<String>, Error> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::Io { action: "read", path: path.to_owned(), source }),
    }
}
