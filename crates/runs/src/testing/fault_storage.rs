use std::ffi::OsStr;
use std::io::{self, Cursor, Read, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::CrashStates;
use super::image::{Content, Image, Node};
use super::journal::{Effect, Journal, Operation};
use crate::durable::folder_of;
use crate::storage::{Entry, Kind, Storage, StorageFile};

/// A file system in memory that counts calls, fails on demand and records what it did. Clones share
/// it.
#[derive(Debug, Clone, Default)]
pub struct FaultStorage {
    state: Arc<Mutex<State>>,
}

/// When calls fail, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// The first call that may fail; calls count from 0.
    pub call: usize,
    /// Whether later calls fail too.
    pub lasting: bool,
    /// What the system says.
    pub refusal: Refusal,
}

/// Why a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// ENOSPC: calls that need space.
    Full,
    /// EROFS: calls that change something.
    ReadOnly,
    /// EIO: every call.
    Broken,
}

/// A file of a [`FaultStorage`] that is being written.
#[derive(Debug)]
pub struct FaultyFile {
    storage: FaultStorage,
    node: Node,
}

#[derive(Debug, Default)]
struct State {
    image: Image,
    journal: Journal,
    next_node: Node,
    calls: usize,
    fault: Option<Fault>,
    free: u64,
}

/// What a call wants of the disk.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Need {
    Reading,
    Changing,
    Space,
}

impl FaultStorage {
    /// A disk on which all of `image` is durable.
    pub fn of(image: Image) -> Self {
        let next_node = image.free_node();
        let journal = Journal { base: image.clone(), operations: Vec::new() };
        let state = State { image, journal, next_node, free: 1 << 20, ..State::default() };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// What the disk shows to running programs.
    pub fn image(&self) -> Image {
        self.state().image.canonical()
    }

    /// How many calls there were, failed ones included.
    pub fn calls(&self) -> usize {
        self.state().calls
    }

    /// How many changes and syncs were recorded.
    pub fn operations(&self) -> usize {
        self.state().journal.operations.len()
    }

    /// What a power loss after the first `operations` may leave.
    pub fn crash_states(&self, operations: usize) -> CrashStates {
        CrashStates::after(&self.state().journal, operations)
    }

    /// Lets calls fail, or no longer.
    pub fn set_fault(&self, fault: Option<Fault>) {
        self.state().fault = fault;
    }

    /// What [`Storage::free_bytes`] says.
    pub fn set_free_bytes(&self, free: u64) {
        self.state().free = free;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A test that failed elsewhere leaves the state readable.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a call, which may fail.
    fn call(&self, need: Need) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.state();
        let call = state.calls;
        state.calls += 1;
        match state.fault {
            Some(fault) if fault.strikes(call, need) => Err(fault.refusal.error()),
            _ => Ok(state),
        }
    }

    fn make(&self, path: &Path, kind: Kind) -> io::Result<Node> {
        let mut state = self.call(Need::Space)?;
        let (directory, name) = state.place(path)?;
        if state.image.child(directory, name).is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let node = state.next_node.max(state.image.free_node());
        state.next_node = node + 1;
        state.image.add(node, Content::empty(kind));
        state.change(Effect::Link { directory, name: name.into(), node, kind });
        Ok(node)
    }

    fn sync(&self, find: impl FnOnce(&State) -> io::Result<Node>) -> io::Result<()> {
        let failed = self.call(Need::Space).err();
        let mut state = self.state();
        let node = find(&state)?;
        state.journal.operations.push(match failed {
            None => Operation::Sync(node),
            Some(_) => Operation::FailedSync(node),
        });
        failed.map_or(Ok(()), Err)
    }

    fn remove(&self, path: &Path, kind: Kind) -> io::Result<()> {
        let mut state = self.call(Need::Changing)?;
        let (directory, name) = state.place(path)?;
        let node = state.image.child(directory, name)?;
        match kind {
            Kind::Directory if !state.image.entries(node)?.is_empty() => {
                return Err(io::ErrorKind::DirectoryNotEmpty.into());
            }
            Kind::File if state.image.entries(node).is_ok() => {
                return Err(io::ErrorKind::IsADirectory.into());
            }
            _ => {}
        }
        state.change(Effect::Unlink { directory, name: name.into() });
        Ok(())
    }
}

impl Storage for FaultStorage {
    type File = FaultyFile;

    fn create(&self, path: &Path) -> io::Result<FaultyFile> {
        Ok(FaultyFile { node: self.make(path, Kind::File)?, storage: self.clone() })
    }

    fn make_directory(&self, path: &Path) -> io::Result<()> {
        self.make(path, Kind::Directory).map(drop)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.call(Need::Changing)?;
        let (directory, from) = state.place(from)?;
        let (into, to) = state.place(to)?;
        if directory != into {
            return Err(io::ErrorKind::CrossesDevices.into());
        }
        let node = state.image.child(directory, from)?;
        if let Ok(other) = state.image.child(directory, to) {
            match (state.image.entries(node), state.image.entries(other)) {
                (Ok(_), Ok(entries)) if !entries.is_empty() => {
                    return Err(io::ErrorKind::DirectoryNotEmpty.into());
                }
                (Ok(_), Err(_)) => return Err(io::ErrorKind::NotADirectory.into()),
                (Err(_), Ok(_)) => return Err(io::ErrorKind::IsADirectory.into()),
                _ => {}
            }
        }
        state.change(Effect::Rename { directory, from: from.into(), to: to.into(), node });
        Ok(())
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.sync(|state| {
            let node = state.image.find(path)?;
            state.image.entries(node)?;
            Ok(node)
        })
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.remove(path, Kind::File)
    }

    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        self.remove(path, Kind::Directory)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        let state = self.call(Need::Reading)?;
        let entries = state.image.entries(state.image.find(path)?)?;
        let kind = |node: &Node| match state.image.entries(*node) {
            Ok(_) => Kind::Directory,
            Err(_) => Kind::File,
        };
        Ok(entries.iter().map(|(name, n)| Entry { name: name.clone(), kind: kind(n) }).collect())
    }

    fn open(&self, path: &Path) -> io::Result<(u64, Box<dyn Read>)> {
        let state = self.call(Need::Reading)?;
        let content = state.image.file(state.image.find(path)?)?.to_vec();
        let bytes = content.len() as u64;
        Ok((bytes, Box::new(FaultyReader { storage: self.clone(), content: Cursor::new(content) })))
    }

    fn free_bytes(&self, _path: &Path) -> Option<u64> {
        Some(self.state().free)
    }
}

impl Write for FaultyFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let failed = self.storage.call(Need::Space).err();
        // A disk that fills up takes a part first.
        let taken = if failed.is_some() { bytes.len() / 2 } else { bytes.len() };
        let mut state = self.storage.state();
        let offset = state.image.file(self.node)?.len();
        let read_only =
            failed.as_ref().is_some_and(|error| error.kind() == Refusal::ReadOnly.kind());
        if !read_only {
            let bytes = bytes[..taken].to_vec();
            state.change(Effect::Write { node: self.node, offset, bytes });
        }
        failed.map_or(Ok(taken), Err)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl StorageFile for FaultyFile {
    fn sync(&mut self) -> io::Result<()> {
        let node = self.node;
        self.storage.sync(|_| Ok(node))
    }
}

struct FaultyReader {
    storage: FaultStorage,
    content: Cursor<Vec<u8>>,
}

impl Read for FaultyReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        drop(self.storage.call(Need::Reading)?);
        self.content.read(buffer)
    }
}

impl State {
    fn change(&mut self, effect: Effect) {
        self.image.apply(&effect);
        self.journal.operations.push(Operation::Change(effect));
    }

    /// The directory that a path lies in, and its name there.
    fn place<'p>(&self, path: &'p Path) -> io::Result<(Node, &'p OsStr)> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let directory = self.image.find(folder_of(path))?;
        self.image.entries(directory)?;
        Ok((directory, name))
    }
}

impl Fault {
    fn strikes(self, call: usize, need: Need) -> bool {
        let now = call == self.call || (self.lasting && call > self.call);
        now && match self.refusal {
            Refusal::Full => need == Need::Space,
            Refusal::ReadOnly => need != Need::Reading,
            Refusal::Broken => true,
        }
    }
}

impl Refusal {
    fn kind(self) -> io::ErrorKind {
        match self {
            Self::Full => io::ErrorKind::StorageFull,
            Self::ReadOnly => io::ErrorKind::ReadOnlyFilesystem,
            Self::Broken => io::ErrorKind::Other,
        }
    }

    fn error(self) -> io::Error {
        match self {
            Self::Broken => io::Error::other("input/output error"),
            other => other.kind().into(),
        }
    }
}
