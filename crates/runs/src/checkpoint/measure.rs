//! A metric that is measured after the save.

use super::writer::{Failure, write_file};
use super::{Checkpoints, Manifest, names};
use crate::Error;
use crate::error::Space;
use crate::storage::Storage;

/// The manifest before it takes the place of the old one. It is not one of the files that the
/// manifest names, so that a power loss before that leaves a good checkpoint.
const NEXT_MANIFEST: &str = "tmp-MANIFEST.json";

impl<S: Storage> Checkpoints<S> {
    /// Writes the metric of a checkpoint that was saved without one, as when a signal came between
    /// the save and the measurement. The manifest is replaced as one step.
    ///
    /// # Errors
    /// [`Error::NonFiniteMetric`]; [`Error::NoSuchStep`]; [`Error::Save`] if the disk fails, and
    /// then the checkpoint is as it was.
    pub fn set_metric(&mut self, step: u64, metric: f64) -> Result<(), Error> {
        if !metric.is_finite() {
            return Err(Error::NonFiniteMetric { step, metric });
        }
        let Some(at) = self.good.iter().position(|checkpoint| checkpoint.step == step) else {
            return Err(Error::NoSuchStep { step, directory: self.directory.clone() });
        };
        let Manifest { parent, fingerprint, files, .. } = self.good[at].manifest.clone();
        let written = Manifest::write(step, parent, Some(metric), &fingerprint, files);
        let (manifest, text) = written.map_err(Error::content)?;
        let directory = self.good[at].path.clone();
        let replaced = self.replace_manifest(&directory, text.as_bytes());
        replaced.map_err(|Failure { action, path, source }| {
            let free = self.storage.free_bytes(&self.directory);
            let space = Space { needed: text.len() as u64, free };
            Error::Save { step, action, path, space, source }
        })?;
        self.good[at].manifest = manifest;
        Ok(())
    }

    fn replace_manifest(&self, directory: &std::path::Path, text: &[u8]) -> Result<(), Failure> {
        let (next, path) = (directory.join(NEXT_MANIFEST), directory.join(names::MANIFEST));
        match self.storage.remove_file(&next) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Failure::at("remove", &next)(error));
            }
            _ => {}
        }
        write_file(&self.storage, &next, text)?;
        self.storage.rename(&next, &path).map_err(Failure::at("rename to", &path))?;
        self.storage.sync_directory(directory).map_err(Failure::at("sync", directory))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use crate::{Checkpoints, Error, NewCheckpoint, Retention};

    #[test]
    fn a_metric_can_follow_its_checkpoint() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Checkpoints::open(folder.path(), Retention { last: 3, best: 1 }).unwrap().0;
        let mut checkpoints = open();
        let new = NewCheckpoint { step: 4, parent: None, metric: None, fingerprint: 1.into() };
        checkpoints.save(&new, &mut |writer| writer.file("a", b"abc")).unwrap();
        assert!(checkpoints.best().is_none());
        checkpoints.set_metric(4, 0.5).unwrap();
        for checkpoints in [&checkpoints, &open()] {
            let best = checkpoints.best().unwrap();
            assert_eq!((best.step, best.manifest.metric), (4, Some(0.5)));
            assert_eq!(best.read("a").unwrap(), b"abc");
        }
        let missing = checkpoints.set_metric(5, 0.5);
        assert!(matches!(missing, Err(Error::NoSuchStep { step: 5, .. })));
        let not_finite = checkpoints.set_metric(4, f64::NAN);
        assert!(matches!(not_finite, Err(Error::NonFiniteMetric { .. })));
    }
}
