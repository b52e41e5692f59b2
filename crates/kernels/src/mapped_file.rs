//! A file as memory.
//!
//! In this crate because mapping is `unsafe`, and this is the only crate that may be.

use memmap2::Mmap;
use std::fs::File;
use std::io;
use std::ops::{Deref, Range};
use std::path::Path;

/// A read-only, private view of a file. Pages are read when they are touched and take no memory
/// that the system could not take back.
///
/// The file must not be changed in place while it is mapped: a file that shrinks ends the process.
/// Replace files by renaming new ones over them.
#[derive(Debug)]
pub struct MappedFile {
    /// An empty file cannot be mapped.
    map: Option<Mmap>,
}

impl MappedFile {
    /// Maps a file.
    ///
    /// # Errors
    /// Those of the system.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        if file.metadata()?.len() == 0 {
            return Ok(Self { map: None });
        }
        // SAFETY: the map is read-only, and nothing in this workspace writes to a file in place;
        // that others do not either is the documented condition of every mapped file.
        let map = unsafe { Mmap::map(&file)? };
        Ok(Self { map: Some(map) })
    }

    /// Gives the memory of whole pages within `range` back; they are read again when they are
    /// touched. Without effect where the system has no such call.
    pub fn release(&self, range: Range<usize>) {
        #[cfg(unix)]
        if let Some(map) = &self.map {
            // Pages that another part of the file shares stay.
            const PAGE: usize = 1 << 16;
            let start = range.start.next_multiple_of(PAGE);
            let end = range.end.min(map.len()) / PAGE * PAGE;
            if start < end {
                // SAFETY: the map is a private view of a file that was never written to, so what
                // is dropped is read from the file again, with the same contents.
                let advice = memmap2::UncheckedAdvice::DontNeed;
                // Advice that is refused costs memory and nothing else.
                let _ = unsafe { map.unchecked_advise_range(advice, start, end - start) };
            }
        }
        #[cfg(not(unix))]
        let _ = range;
    }
}

impl Deref for MappedFile {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.map.as_deref().unwrap_or(&[])
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn contents_stay_when_pages_are_released() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let bytes: Vec<u8> = (0..1_000_003_u32).map(|i| (i * 31 % 251) as u8).collect();
        std::fs::write(file.path(), &bytes).unwrap();
        let map = MappedFile::open(file.path()).unwrap();
        assert!(map[..] == bytes);
        map.release(5..900_000);
        map.release(900_000..usize::MAX);
        assert!(map[..] == bytes);
        std::fs::write(file.path(), "").unwrap();
        assert!(MappedFile::open(file.path()).unwrap().is_empty());
    }
}
