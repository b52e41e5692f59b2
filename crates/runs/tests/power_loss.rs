//! Row 15: a kill or a power loss at any instant of a save leaves the old or the new checkpoint.
//!
//! For every prefix of the operations of a save, every directory that a disk may then show is
//! opened (all combinations of what was not synced up to a bound, seeded draws beyond it).
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::path::Path;

use afterthought_runs::storage::{Entry, Storage, StorageFile};
use afterthought_runs::testing::{FaultStorage, FaultyFile, Image};
use afterthought_runs::{Checkpoints, Notice, Retention};

mod support;
use support::{DIRECTORY, assert_whole, open, save, steps};

const RETENTION: Retention = Retention { last: 2, best: 1 };
const COMBINATIONS: usize = 4096;

fn empty() -> FaultStorage {
    FaultStorage::of(Image::default())
}

/// What opening one state gives; a sentence if that breaks the promise.
fn opened(image: &Image, before: &[u64], after: &[u64]) -> Result<bool, String> {
    let storage = FaultStorage::of(image.clone());
    let (mut checkpoints, notices) =
        Checkpoints::open_on(storage.clone(), Path::new(DIRECTORY), RETENTION)
            .map_err(|error| format!("cannot be opened: {error}"))?;
    if let Some(damaged) = checkpoints.damaged().first() {
        return Err(format!("{} is damaged: {}", damaged.path.display(), damaged.damage));
    }
    // `LATEST` never names what is not there.
    if let Some(notice) = notices.iter().find(|n| !matches!(n, Notice::LeftoverRemoved { .. })) {
        return Err(notice.to_string());
    }
    assert_whole(&checkpoints);
    let found: BTreeSet<u64> = steps(&checkpoints).into_iter().collect();
    let is_old = before.iter().all(|step| found.contains(step)) && found.last() == before.last();
    let is_new = after.iter().all(|step| found.contains(step)) && found.last() == after.last();
    if !is_old && !is_new {
        return Err(format!("steps {found:?}, neither {before:?} nor {after:?}"));
    }
    let next = found.last().unwrap_or(&0) + 10;
    save(&mut checkpoints, next, None).map_err(|error| format!("the next save: {error}"))?;
    if !checkpoints.take_notices().is_empty() {
        return Err("the next save had something to say".into());
    }
    let again = open(&storage, RETENTION);
    assert_whole(&again);
    let listed = steps(&again).into_iter().map(|step| format!("step-{step:08}"));
    let expected: Vec<String> = ["LATEST".to_owned()].into_iter().chain(listed).collect();
    if again.latest().map(|latest| latest.step) != Some(next) || names(&storage) != expected {
        return Err(format!("after the next save: {:?}", names(&storage)));
    }
    Ok(is_new)
}

/// Names in the directory of checkpoints.
fn names(storage: &FaultStorage) -> Vec<String> {
    let entries = storage.list(Path::new(DIRECTORY)).unwrap();
    entries.into_iter().map(|entry| entry.name.into_string().unwrap()).collect()
}

/// Every crash during `act`, which turns the steps `before` into `after`. How many states there were.
fn crash_everywhere(
    storage: &FaultStorage,
    before: &[u64],
    after: &[u64],
    act: impl FnOnce(&FaultStorage),
) -> Result<usize, String> {
    let begin = storage.operations();
    act(storage);
    let end = storage.operations();
    let mut states = 0;
    for operations in begin..=end {
        for image in storage.crash_states(operations).images(COMBINATIONS, operations as u64) {
            states += 1;
            let is_new = opened(&image, before, after)
                .map_err(|problem| format!("after {} operations: {problem}", operations - begin))?;
            if operations == end && !is_new {
                return Err("the save returned and was lost".into());
            }
        }
    }
    Ok(states)
}

fn save_one(storage: &FaultStorage, step: u64, metric: Option<f64>) {
    save(&mut open(storage, RETENTION), step, metric).unwrap();
}

#[test]
fn row_15_first_save() {
    let states = crash_everywhere(&empty(), &[], &[10], |storage| save_one(storage, 10, None));
    // All combinations of two files, a manifest and their names.
    assert!(states.unwrap() > 100);
}

#[test]
fn row_15_save_that_prunes() {
    let storage = empty();
    let mut checkpoints = open(&storage, RETENTION);
    for (step, metric) in [(10, 0.9), (20, 0.1), (30, 0.2)] {
        save(&mut checkpoints, step, Some(metric)).unwrap();
    }
    // 10 is the best and stays; 20 goes.
    let states = crash_everywhere(&storage, &[10, 20, 30], &[10, 30, 40], |_| {
        save(&mut checkpoints, 40, Some(0.3)).unwrap();
    });
    assert!(states.unwrap() > 100);
    assert_eq!(steps(&open(&storage, RETENTION)), [10, 30, 40]);
}

#[test]
fn row_15_save_after_a_resume() {
    let storage = empty();
    save_one(&storage, 10, Some(0.5));
    save_one(&storage, 20, None);
    save_one(&storage, 30, None);
    let states = crash_everywhere(&storage, &[10, 20, 30], &[10, 30, 40], |storage| {
        save_one(storage, 40, None);
    });
    assert!(states.unwrap() > 100);
}

#[test]
fn row_15_save_that_replaces_the_only_checkpoint() {
    let storage = empty();
    save_one(&storage, 10, None);
    let mut checkpoints = open(&storage, Retention { last: 1, best: 0 });
    let states = crash_everywhere(&storage, &[10], &[20], |_| {
        save(&mut checkpoints, 20, None).unwrap();
    });
    assert!(states.unwrap() > 100);
    assert_eq!(steps(&open(&storage, RETENTION)), [20]);
}

/// The recovery and the save that follows it are interrupted too.
#[test]
fn row_15_crash_while_recovering_from_a_crash() {
    let storage = empty();
    for step in [10, 20] {
        save_one(&storage, step, None);
    }
    let begin = storage.operations();
    save_one(&storage, 30, None);
    let mut states = 0;
    for operations in (begin..=storage.operations()).step_by(3) {
        for image in storage.crash_states(operations).images(5, 1) {
            let storage = FaultStorage::of(image);
            let before = steps(&open(&FaultStorage::of(storage.image()), RETENTION));
            let begin = storage.operations();
            save_one(&storage, 40, None);
            let after = [before[before.len() - 1], 40];
            for operations in begin..=storage.operations() {
                for image in storage.crash_states(operations).images(12, operations as u64) {
                    states += 1;
                    let new = opened(&image, &before, &after).unwrap();
                    assert!(new || operations < storage.operations());
                }
            }
        }
    }
    assert!(states > 1000, "{states}");
}

/// The same damaged checkpoint in the way of a new one: the crash may not cost the good one.
#[test]
fn row_15_crash_while_a_damaged_checkpoint_is_replaced() {
    let storage = empty();
    for step in [10, 20] {
        save_one(&storage, step, None);
    }
    let mut image = storage.image();
    let file = format!("{DIRECTORY}/step-00000020/model.bin");
    image.corrupt(Path::new(&file), |bytes| bytes[7] ^= 4).unwrap();
    let storage = FaultStorage::of(image);
    let begin = storage.operations();
    save_one(&storage, 20, None);
    for operations in begin..=storage.operations() {
        for image in storage.crash_states(operations).images(COMBINATIONS, operations as u64) {
            let checkpoints = open(&FaultStorage::of(image), RETENTION);
            assert_whole(&checkpoints);
            let found = steps(&checkpoints);
            assert!(found == [10] || found == [10, 20], "{found:?}");
            assert!(operations < storage.operations() || found == [10, 20]);
        }
    }
}

/// Syncs that a careless program leaves out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Careless {
    Files,
    StagingDirectory,
    Checkpoints,
}

#[derive(Clone)]
struct Without(FaultStorage, Careless);

struct WithoutFile(FaultyFile, Careless);

impl io::Write for WithoutFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl StorageFile for WithoutFile {
    fn sync(&mut self) -> io::Result<()> {
        if self.1 == Careless::Files { Ok(()) } else { self.0.sync() }
    }
}

impl Storage for Without {
    type File = WithoutFile;

    fn create(&self, path: &Path) -> io::Result<WithoutFile> {
        Ok(WithoutFile(self.0.create(path)?, self.1))
    }

    fn make_directory(&self, path: &Path) -> io::Result<()> {
        self.0.make_directory(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.rename(from, to)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        let left_out = match self.1 {
            Careless::Files => false,
            Careless::StagingDirectory => path != Path::new(DIRECTORY),
            Careless::Checkpoints => path == Path::new(DIRECTORY),
        };
        if left_out { Ok(()) } else { self.0.sync_directory(path) }
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.0.remove_file(path)
    }

    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        self.0.remove_directory(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        self.0.list(path)
    }

    fn open(&self, path: &Path) -> io::Result<(u64, Box<dyn Read>)> {
        self.0.open(path)
    }

    fn free_bytes(&self, path: &Path) -> Option<u64> {
        self.0.free_bytes(path)
    }
}

/// These tests can fail: leave out any one kind of sync, and some state breaks the promise.
#[test]
fn every_kind_of_sync_is_needed() {
    for careless in [Careless::Files, Careless::StagingDirectory, Careless::Checkpoints] {
        let storage = empty();
        for step in [10, 20] {
            save_one(&storage, step, None);
        }
        let problem = crash_everywhere(&storage, &[10, 20], &[20, 30], |storage| {
            let mut checkpoints = open(&Without(storage.clone(), careless), RETENTION);
            save(&mut checkpoints, 30, None).unwrap();
        });
        problem.unwrap_err();
    }
}
