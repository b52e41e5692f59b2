//! A checkpoint on disk, and whether it is what was written.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::{Damage, FileRecord, Manifest, names};
use crate::Error;
use crate::storage::{Disk, Storage};

/// Largest manifest that is read.
const MANIFEST_LIMIT: u64 = 64 << 20;

/// A checkpoint whose files agreed with its manifest when it was opened or saved.
#[derive(Debug, Clone)]
pub struct Checkpoint<S: Storage = Disk> {
    /// The step whose state it is.
    pub step: u64,
    /// Its directory.
    pub path: PathBuf,
    /// What it holds.
    pub manifest: Manifest,
    pub(super) storage: S,
}

impl<S: Storage> Checkpoint<S> {
    /// The content of a file, checked against the manifest once more.
    ///
    /// # Errors
    /// [`Error::NoSuchFile`], or [`Error::Damaged`] if it is not what was written.
    pub fn read(&self, name: &str) -> Result<Vec<u8>, Error> {
        let record = self
            .manifest
            .files
            .get(name)
            .ok_or_else(|| Error::NoSuchFile { path: self.path.clone(), name: name.to_owned() })?;
        let mut content = Vec::new();
        check_file(&self.storage, &self.path, name, record, |bytes| {
            content.extend_from_slice(bytes)
        })
        .map_err(|damage| Error::Damaged { path: self.path.clone(), damage })?;
        Ok(content)
    }

    /// Where a file of that name lies. It is neither checked nor opened.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Opens the directory of `step` and checks every file.
    pub(super) fn verify(storage: &S, path: &Path, step: u64) -> Result<Self, Damage> {
        let checkpoint = Self::glance(storage, path, step)?;
        for (name, record) in &checkpoint.manifest.files {
            check_file(storage, path, name, record, |_| {})?;
        }
        Ok(checkpoint)
    }

    /// Opens the directory of `step` by its manifest alone.
    pub(super) fn glance(storage: &S, path: &Path, step: u64) -> Result<Self, Damage> {
        let unreadable = |source| Damage::Unreadable { name: names::MANIFEST.to_owned(), source };
        let (bytes, reader) = open(storage, path, names::MANIFEST)?;
        if bytes > MANIFEST_LIMIT {
            return Err(Damage::Manifest(format!("it has {bytes} bytes")));
        }
        let mut text = Vec::new();
        reader.take(MANIFEST_LIMIT).read_to_end(&mut text).map_err(unreadable)?;
        let manifest = Manifest::read(&text, step)?;
        Ok(Self { step, path: path.to_owned(), manifest, storage: storage.clone() })
    }
}

fn open(storage: &impl Storage, path: &Path, name: &str) -> Result<(u64, Box<dyn Read>), Damage> {
    storage.open(&path.join(name)).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => Damage::Missing { name: name.to_owned() },
        _ => Damage::Unreadable { name: name.to_owned(), source },
    })
}

/// Reads a file to its end and compares size and hash; `take` sees the content as it comes.
fn check_file(
    storage: &impl Storage,
    path: &Path,
    name: &str,
    record: &FileRecord,
    mut take: impl FnMut(&[u8]),
) -> Result<(), Damage> {
    let size = |actual| Damage::Size { name: name.to_owned(), expected: record.bytes, actual };
    let (bytes, mut reader) = open(storage, path, name)?;
    // Before anything is read, so that what is read is no more than the manifest says.
    if bytes != record.bytes {
        return Err(size(bytes));
    }
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; 1 << 20];
    let mut left = record.bytes;
    while left > 0 {
        let part = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        match reader.read(&mut buffer[..part]) {
            Ok(0) => return Err(size(record.bytes - left)),
            Ok(count) => {
                hasher.update(&buffer[..count]);
                take(&buffer[..count]);
                left -= count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(source) => return Err(Damage::Unreadable { name: name.to_owned(), source }),
        }
    }
    let actual = hasher.finalize().to_hex();
    if actual.as_str() != record.blake3 {
        let (expected, actual) = (record.blake3.clone(), actual.to_string());
        return Err(Damage::Hash { name: name.to_owned(), expected, actual });
    }
    Ok(())
}
