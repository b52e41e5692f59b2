//! Which checkpoints does a directory hold?

use std::io::{self, Read};
use std::path::Path;

use super::{Checkpoint, Checkpoints, Damage, Damaged, Notice, Retention, names};
use crate::Error;
use crate::storage::{Disk, Entry, Kind, Storage, ensure_directory};

/// More than `LATEST` ever has.
const LATEST_LIMIT: u64 = 80;

impl Checkpoints<Disk> {
    /// Opens a directory of checkpoints, which is made if it is not there, and checks every file of
    /// every one. What an interrupted save left is removed. Damaged checkpoints are not used, stay
    /// until the next successful save, and are named in the notices.
    ///
    /// # Errors
    /// [`Error::Io`] if the directory cannot be listed or made, [`Error::Retention`].
    pub fn open(directory: &Path, retention: Retention) -> Result<(Self, Vec<Notice>), Error> {
        Self::open_on(Disk, directory, retention)
    }

    /// What the manifests in a directory say, by step. Nothing is checked beside them, made or
    /// removed, so that another process may work there.
    ///
    /// # Errors
    /// [`Error::Io`] if the directory is there and cannot be listed.
    pub fn glance(directory: &Path) -> Result<Vec<Checkpoint>, Error> {
        let entries = match Disk.list(directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            entries => entries.map_err(|source| list_error(directory, source))?,
        };
        let step = |entry: Entry| names::step_of(&entry.name);
        let mut steps: Vec<u64> = entries.into_iter().filter_map(step).collect();
        steps.sort_unstable();
        let open =
            |step| Checkpoint::glance(&Disk, &directory.join(names::checkpoint(step)), step).ok();
        Ok(steps.into_iter().filter_map(open).collect())
    }
}

impl<S: Storage> Checkpoints<S> {
    /// [`Checkpoints::open`] on any storage.
    ///
    /// # Errors
    /// As [`Checkpoints::open`].
    pub fn open_on(
        storage: S,
        directory: &Path,
        retention: Retention,
    ) -> Result<(Self, Vec<Notice>), Error> {
        if retention.last == 0 {
            return Err(Error::Retention);
        }
        ensure_directory(&storage, directory).map_err(|source| Error::Io {
            action: "make or list",
            path: directory.to_owned(),
            source,
        })?;
        let mut this = Self {
            storage,
            directory: directory.to_owned(),
            retention,
            good: Vec::new(),
            damaged: Vec::new(),
            named: None,
            unsettled: false,
            notices: Vec::new(),
        };
        let swept = this.sweep();
        this.notices.extend(swept.into_iter().map(|(path, result)| match result {
            Ok(()) => Notice::LeftoverRemoved { path },
            Err(source) => Notice::LeftoverKept { path, source },
        }));
        this.verify_all()?;
        this.read_latest();
        let notices = this.take_notices();
        Ok((this, notices))
    }

    fn verify_all(&mut self) -> Result<(), Error> {
        let entries = self.storage.list(&self.directory);
        for Entry { name, kind } in entries.map_err(|source| list_error(&self.directory, source))? {
            let Some(step) = names::step_of(&name) else { continue };
            let path = self.directory.join(name);
            let checkpoint = match kind {
                Kind::Directory => Checkpoint::verify(&self.storage, &path, step),
                Kind::File | Kind::Other => Err(Damage::NotADirectory),
            };
            match checkpoint {
                Ok(checkpoint) => self.good.push(checkpoint),
                Err(damage) => self.damaged.push(Damaged { step, path, damage }),
            }
        }
        // By number: names of more than eight digits do not sort.
        self.good.sort_by_key(|checkpoint| checkpoint.step);
        self.damaged.sort_by_key(|damaged| damaged.step);
        let to = self.latest().map(|checkpoint| checkpoint.step);
        for Damaged { step, path, damage } in &self.damaged {
            let (path, reason) = (path.clone(), damage.to_string());
            self.notices.push(match to {
                Some(latest) if *step < latest => Notice::Damaged { path, reason },
                _ => Notice::FellBack { path, reason, to },
            });
        }
        Ok(())
    }

    /// Reads `LATEST`, and says so if what it names is not there at all.
    fn read_latest(&mut self) {
        let path = self.path(names::LATEST);
        let mut text = Vec::new();
        let read = self
            .storage
            .open(&path)
            .and_then(|(_, file)| file.take(LATEST_LIMIT).read_to_end(&mut text));
        match read {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(source) => return self.notices.push(Notice::LatestFailed { path, source }),
        }
        let named = String::from_utf8_lossy(&text).trim_end().to_owned();
        self.named = names::step_of(named.as_ref());
        let known = self.named.is_some_and(|step| {
            self.good.iter().any(|checkpoint| checkpoint.step == step)
                || self.damaged.iter().any(|damaged| damaged.step == step)
        });
        if !known {
            let to = self.latest().map(|checkpoint| checkpoint.step);
            self.notices.push(Notice::LatestMissing { named, to });
        }
    }
}

fn list_error(directory: &Path, source: io::Error) -> Error {
    Error::Io { action: "list", path: directory.to_owned(), source }
}
