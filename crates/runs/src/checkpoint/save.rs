//! How a checkpoint comes to be: whole, or not at all.

use std::path::Path;

use super::writer::{Failure, write_file};
use super::{Checkpoint, CheckpointWriter, Checkpoints, Manifest, NewCheckpoint, Notice, names};
use crate::Error;
use crate::error::Space;
use crate::storage::{Storage, StorageFile, remove_tree};

/// Why a save ended early.
enum Stop {
    /// The disk refused something; the checkpoint has so many bytes.
    Disk(Failure, u64),
    Other(Error),
}

impl<S: Storage> Checkpoints<S> {
    /// Saves a checkpoint with the files that `content`, called once, writes, then removes those that are no
    /// longer kept. When this returns, the checkpoint survives a power loss. What goes wrong after
    /// that is a notice ([`Checkpoints::take_notices`]).
    ///
    /// # Errors
    /// [`Error::AlreadySaved`], [`Error::OutOfOrder`], [`Error::NonFiniteMetric`] before anything is
    /// written; errors of `content`; [`Error::Save`] if the disk fails. In every case nothing half
    /// written is visible, earlier checkpoints are untouched, and the save can be tried again.
    pub fn save(
        &mut self,
        new: &NewCheckpoint,
        content: &mut dyn FnMut(&mut CheckpointWriter<'_>) -> Result<(), Error>,
    ) -> Result<Checkpoint<S>, Error> {
        self.admit(new)?;
        if self.unsettled {
            self.settle();
        }
        let staging = self.path(&names::staging(new.step));
        match self.write(new, &staging, content) {
            Ok(checkpoint) => {
                self.good.push(checkpoint.clone());
                self.settle();
                Ok(checkpoint)
            }
            Err(stop) => {
                // If it stays it is not visible as a checkpoint; the next save or start removes it.
                let _ = remove_tree(&self.storage, &staging);
                Err(match stop {
                    Stop::Other(error) => error,
                    Stop::Disk(Failure { action, path, source }, needed) => {
                        let free = self.storage.free_bytes(&self.directory);
                        let space = Space { needed, free };
                        Error::Save { step: new.step, action, path, space, source }
                    }
                })
            }
        }
    }

    fn admit(&self, new: &NewCheckpoint) -> Result<(), Error> {
        let (step, directory) = (new.step, || self.directory.clone());
        if let Some(metric) = new.metric.filter(|metric| !metric.is_finite()) {
            return Err(Error::NonFiniteMetric { step, metric });
        }
        if self.good.iter().any(|checkpoint| checkpoint.step == step) {
            return Err(Error::AlreadySaved { step, directory: directory() });
        }
        match self.latest() {
            Some(latest) if latest.step > step => {
                Err(Error::OutOfOrder { step, latest: latest.step, directory: directory() })
            }
            _ => Ok(()),
        }
    }

    /// Everything up to the moment from which the checkpoint is durable.
    fn write(
        &mut self,
        new: &NewCheckpoint,
        staging: &Path,
        content: &mut dyn FnMut(&mut CheckpointWriter<'_>) -> Result<(), Error>,
    ) -> Result<Checkpoint<S>, Stop> {
        let storage = self.storage.clone();
        let failure = self.stage(staging).err();
        let create = |path: &Path| {
            storage.create(path).map(|file| Box::new(file) as Box<dyn StorageFile + '_>)
        };
        let mut writer = CheckpointWriter::new(staging, &create, failure);
        content(&mut writer).map_err(Stop::Other)?;
        let (files, failure) = writer.finish();
        let NewCheckpoint { step, parent, metric, fingerprint } = new;
        let (manifest, text) = Manifest::write(*step, *parent, *metric, fingerprint, files)
            .map_err(|error| Stop::Other(Error::content(error)))?;
        let needed = manifest.bytes().saturating_add(text.len() as u64);
        let disk = |failure| Stop::Disk(failure, needed);
        failure.map_or(Ok(()), Err).map_err(disk)?;
        write_file(&storage, &staging.join(names::MANIFEST), text.as_bytes()).map_err(disk)?;
        storage.sync_directory(staging).map_err(Failure::at("sync", staging)).map_err(disk)?;
        let path = self.path(&names::checkpoint(*step));
        self.publish(staging, &path, *step).map_err(disk)?;
        Ok(Checkpoint { step: *step, path, manifest, storage })
    }

    /// An empty directory to write to.
    fn stage(&self, staging: &Path) -> Result<(), Failure> {
        match remove_tree(&self.storage, staging) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Failure::at("remove", staging)(error));
            }
            _ => {}
        }
        self.storage.make_directory(staging).map_err(Failure::at("create", staging))
    }

    /// Gives the finished directory its name, durably.
    fn publish(&mut self, staging: &Path, path: &Path, step: u64) -> Result<(), Failure> {
        self.clear_the_way(path, step)?;
        self.storage.rename(staging, path).map_err(Failure::at("rename to", path))?;
        let synced = self.storage.sync_directory(&self.directory);
        if let Err(error) = synced {
            // Visible and perhaps not durable: neither saved nor not. If this fails too, what is
            // visible is whole, and the next attempt replaces it.
            let _ = self.storage.rename(path, staging);
            return Err(Failure::at("sync", &self.directory)(error));
        }
        Ok(())
    }

    /// Moves what has the name of the checkpoint and is not a good one.
    fn clear_the_way(&mut self, path: &Path, step: u64) -> Result<(), Failure> {
        let entries = self.storage.list(&self.directory);
        let entries = entries.map_err(Failure::at("list", &self.directory))?;
        let is_there = |name: &str| entries.iter().any(|entry| entry.name == *name);
        if !is_there(&names::checkpoint(step)) {
            return Ok(());
        }
        let known = self.damaged.iter().position(|damaged| damaged.step == step);
        let certain = known.is_none_or(|at| self.damaged[at].damage.is_certain());
        let to = if certain {
            let to = self.path(&names::removal(step));
            if is_there(&names::removal(step)) {
                remove_tree(&self.storage, &to).map_err(Failure::at("remove", &to))?;
            }
            to
        } else {
            let name = (0..).map(|attempt| names::set_aside(step, attempt)).find(|n| !is_there(n));
            // There are more attempts than a directory has entries.
            self.path(&name.unwrap_or_default())
        };
        self.storage.rename(path, &to).map_err(Failure::at("rename", path))?;
        if let Some(at) = known {
            self.damaged.remove(at);
        }
        if !certain {
            self.notices.push(Notice::SetAside { from: path.to_owned(), to });
        }
        Ok(())
    }
}
