//! The files of a checkpoint that is being saved.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::{FileRecord, names};
use crate::Error;
use crate::storage::{Storage, StorageFile};

const BUFFER: usize = 1 << 20;

/// Takes the files of a checkpoint. Each is synced before the next begins.
///
/// When the disk fails, what follows is counted and not written: the save then fails with the size
/// that the checkpoint would have had.
pub struct CheckpointWriter<'a> {
    directory: &'a Path,
    create: &'a dyn Fn(&Path) -> io::Result<Box<dyn StorageFile + 'a>>,
    files: BTreeMap<String, FileRecord>,
    failure: Option<Failure>,
}

/// What the disk refused.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) action: &'static str,
    pub(super) path: PathBuf,
    pub(super) source: io::Error,
}

impl Failure {
    /// Names what failed.
    pub(super) fn at<'p>(
        action: &'static str,
        path: &'p Path,
    ) -> impl FnOnce(io::Error) -> Self + use<'p> {
        move |source| Self { action, path: path.to_owned(), source }
    }
}

impl<'a> CheckpointWriter<'a> {
    /// Adds a file.
    ///
    /// # Errors
    /// [`Error::FileName`] if the name cannot be used or is taken.
    pub fn file(&mut self, name: &str, content: &[u8]) -> Result<(), Error> {
        self.stream(name, &mut |out| out.write_all(content))
    }

    /// Adds a file whose content is written bit by bit.
    ///
    /// # Errors
    /// [`Error::FileName`] if the name cannot be used or is taken, [`Error::Content`] with an error
    /// of `content`. The disk's errors are not reported here: writing to `out` never fails.
    pub fn stream(
        &mut self,
        name: &str,
        content: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), Error> {
        let taken = self.files.keys().any(|other| other.eq_ignore_ascii_case(name));
        let taken = taken.then_some("the checkpoint has it already");
        if let Some(problem) = names::problem(name).or(taken) {
            return Err(Error::FileName { name: name.to_owned(), problem });
        }
        let path = self.directory.join(name);
        let mut file = self.begin(&path);
        content(&mut file).map_err(Error::content)?;
        let record = self.end(file);
        self.files.insert(name.to_owned(), record);
        Ok(())
    }

    pub(super) fn new(
        directory: &'a Path,
        create: &'a dyn Fn(&Path) -> io::Result<Box<dyn StorageFile + 'a>>,
        failure: Option<Failure>,
    ) -> Self {
        Self { directory, create, files: BTreeMap::new(), failure }
    }

    /// The files that were written, and the first failure if not all of them were.
    pub(super) fn finish(self) -> (BTreeMap<String, FileRecord>, Option<Failure>) {
        (self.files, self.failure)
    }

    fn begin<'p>(&mut self, path: &'p Path) -> NewFile<'a, 'p> {
        let mut file =
            NewFile { path, out: None, hasher: blake3::Hasher::new(), bytes: 0, failure: None };
        if self.failure.is_none() {
            match (self.create)(path) {
                Ok(new) => file.out = Some(BufWriter::with_capacity(BUFFER, new)),
                Err(source) => file.failure = Some(Failure::at("create", path)(source)),
            }
        }
        file
    }

    fn end(&mut self, mut file: NewFile<'a, '_>) -> FileRecord {
        file.sync();
        self.failure = self.failure.take().or(file.failure);
        FileRecord { bytes: file.bytes, blake3: file.hasher.finalize().to_hex().to_string() }
    }
}

/// The action and place of every failure of a whole file.
pub(super) fn write_file(
    storage: &impl Storage,
    path: &Path,
    content: &[u8],
) -> Result<(), Failure> {
    let mut file = storage.create(path).map_err(Failure::at("create", path))?;
    file.write_all(content).map_err(Failure::at("write", path))?;
    file.sync().map_err(Failure::at("sync", path))
}

/// A file that is hashed and counted as it is written. Without `out` it is only counted.
struct NewFile<'a, 'p> {
    path: &'p Path,
    out: Option<BufWriter<Box<dyn StorageFile + 'a>>>,
    hasher: blake3::Hasher,
    bytes: u64,
    failure: Option<Failure>,
}

impl NewFile<'_, '_> {
    fn fail(&mut self, action: &'static str, source: io::Error) {
        self.failure = Some(Failure::at(action, self.path)(source));
        // Taken apart, not dropped: a drop would try to write once more.
        if let Some(out) = self.out.take() {
            let _ = out.into_parts();
        }
    }

    fn sync(&mut self) {
        if let Some(out) = &mut self.out
            && let Err(error) = out.flush()
        {
            self.fail("write", error);
        }
        if let Some(out) = &mut self.out
            && let Err(error) = out.get_mut().sync()
        {
            self.fail("sync", error);
        }
    }
}

impl Write for NewFile<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.hasher.update(bytes);
        self.bytes += bytes.len() as u64;
        if let Some(out) = &mut self.out
            && let Err(error) = out.write_all(bytes)
        {
            self.fail("write", error);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
