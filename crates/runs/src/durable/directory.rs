use std::io;
use std::path::Path;

/// The directory that a file lies in.
pub fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Makes the names in a directory durable. A rename alone may be undone by a power loss.
///
/// # Errors
/// The directory cannot be opened or synced. Where directories cannot be opened as files (Windows),
/// nothing is done: the file system keeps its own order there.
pub fn sync_directory(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    std::fs::File::open(path)?.sync_all()?;
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}
