//! What follows a save: `LATEST`, then the removal of checkpoints that are no longer kept.

use std::io;
use std::path::PathBuf;

use super::writer::{Failure, write_file};
use super::{Checkpoints, Notice, names};
use crate::storage::{Kind, Storage, remove_tree};

impl<S: Storage> Checkpoints<S> {
    /// Brings `LATEST` up to date and only then prunes. Failures become notices, and the next save
    /// begins with another attempt.
    pub(super) fn settle(&mut self) {
        self.unsettled = true;
        if let Err(Failure { path, source, .. }) = self.write_latest() {
            return self.notices.push(Notice::LatestFailed { path, source });
        }
        let mut done = self.retire();
        for (path, result) in self.sweep() {
            if let Err(source) = result {
                done = false;
                self.notices.push(Notice::LeftoverKept { path, source });
            }
        }
        self.unsettled = !done;
    }

    fn write_latest(&mut self) -> Result<(), Failure> {
        let Some(step) = self.latest().map(|latest| latest.step) else { return Ok(()) };
        if self.named == Some(step) {
            return Ok(());
        }
        let (next, path) = (self.path(names::NEXT_LATEST), self.path(names::LATEST));
        match self.storage.remove_file(&next) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Failure::at("remove", &next)(error));
            }
            _ => {}
        }
        let text = names::checkpoint(step) + "\n";
        write_file(&self.storage, &next, text.as_bytes())?;
        self.storage.rename(&next, &path).map_err(Failure::at("rename to", &path))?;
        let directory = &self.directory;
        self.storage.sync_directory(directory).map_err(Failure::at("sync", directory))?;
        self.named = Some(step);
        Ok(())
    }

    /// Takes their names from the checkpoints that are no longer kept, and from what is certainly
    /// damaged now that a good one is there. Whether all of them went.
    fn retire(&mut self) -> bool {
        let known: Vec<_> = self.good.iter().map(|c| (c.step, c.manifest.metric)).collect();
        let kept = self.retention.kept(&known);
        let mut failed = Vec::new();
        let (storage, directory) = (&self.storage, &self.directory);
        let mut stays = |step: u64, path: &PathBuf| {
            let result = storage.rename(path, &directory.join(names::removal(step)));
            let stays = result.is_err();
            failed.extend(
                result.err().map(|source| Notice::NotRemoved { path: path.clone(), source }),
            );
            stays
        };
        self.good.retain(|c| kept.contains(&c.step) || stays(c.step, &c.path));
        self.damaged.retain(|d| !d.damage.is_certain() || stays(d.step, &d.path));
        let done = failed.is_empty();
        self.notices.extend(failed);
        done
    }

    /// Removes what interrupted saves and removals left, and says how each went.
    pub(super) fn sweep(&self) -> Vec<(PathBuf, io::Result<()>)> {
        let directory = &self.directory;
        let entries = match self.storage.list(directory) {
            Ok(entries) => entries,
            Err(error) => return vec![(directory.clone(), Err(error))],
        };
        let left: Vec<_> = entries.iter().filter(|e| names::is_temporary(&e.name)).collect();
        if left.is_empty() {
            return Vec::new();
        }
        // A checkpoint that is being removed must have lost its name before it loses a file.
        if let Err(error) = self.storage.sync_directory(directory) {
            return vec![(directory.clone(), Err(error))];
        }
        let remove = |path: PathBuf, kind| {
            let result = match kind {
                Kind::Directory => remove_tree(&self.storage, &path),
                Kind::File | Kind::Other => self.storage.remove_file(&path),
            };
            (path, result)
        };
        left.into_iter().map(|entry| remove(directory.join(&entry.name), entry.kind)).collect()
    }
}
