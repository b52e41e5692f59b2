//! Row 15: what is damaged is not used, is named with its reason, and costs nothing else. On a real
//! disk.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::fs;
use std::path::Path;

use afterthought_runs::{Checkpoints, Damage, Error, Notice, Retention};

mod support;
use support::{assert_whole, model, save, steps};

const RETENTION: Retention = Retention { last: 3, best: 0 };

/// A directory with checkpoints 10, 20 and 30.
fn prepared() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let (mut checkpoints, notices) = Checkpoints::open(directory.path(), RETENTION).unwrap();
    assert!(notices.is_empty());
    for step in [10, 20, 30] {
        save(&mut checkpoints, step, None).unwrap();
    }
    directory
}

/// Damages the newest checkpoint, opens, and gives the notices as text.
fn after(damage: impl FnOnce(&Path)) -> (tempfile::TempDir, Checkpoints, Vec<String>) {
    let directory = prepared();
    damage(&directory.path().join("step-00000030"));
    let (checkpoints, notices) = Checkpoints::open(directory.path(), RETENTION).unwrap();
    let notices = notices.iter().map(ToString::to_string).collect();
    (directory, checkpoints, notices)
}

fn change(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

#[test]
fn row_15_each_kind_of_damage_falls_back_with_its_reason() {
    type Act = fn(&Path);
    let cases: [(&str, Act); 9] = [
        ("model.bin is missing", |at| fs::remove_file(at.join("model.bin")).unwrap()),
        ("MANIFEST.json is missing", |at| fs::remove_file(at.join("MANIFEST.json")).unwrap()),
        ("model.bin has 329 bytes, expected 330", |at| {
            change(&at.join("model.bin"), |b| b.truncate(329));
        }),
        ("model.bin has 331 bytes, expected 330", |at| {
            change(&at.join("model.bin"), |b| b.push(0));
        }),
        ("the content of model.bin changed: blake3 ", |at| {
            change(&at.join("model.bin"), |b| b[329] ^= 0x80);
        }),
        ("the manifest is broken: EOF", |at| {
            change(&at.join("MANIFEST.json"), |b| b.truncate(b.len() / 2));
        }),
        ("the manifest is broken: its own hash does not agree", |at| {
            let was = fs::read_to_string(at.join("MANIFEST.json")).unwrap();
            let now = was.replace("\"steps\": 100", "\"steps\": 101");
            assert_ne!(was, now);
            fs::write(at.join("MANIFEST.json"), now).unwrap();
        }),
        ("the manifest is that of step 20", |at| {
            fs::copy(at.with_file_name("step-00000020/MANIFEST.json"), at.join("MANIFEST.json"))
                .unwrap();
        }),
        ("it is not a directory", |at| {
            fs::remove_dir_all(at).unwrap();
            fs::write(at, "").unwrap();
        }),
    ];
    for (reason, damage) in cases {
        let (directory, mut checkpoints, notices) = after(damage);
        let [notice] = &notices[..] else { panic!("{reason}: {notices:?}") };
        assert!(notice.contains(reason), "{notice}");
        assert!(notice.contains("step-00000030") && notice.ends_with("using step 20"), "{notice}");
        assert_eq!(steps(&checkpoints), [10, 20]);
        assert_whole(&checkpoints);
        // The run gets there again, and what is damaged makes way.
        save(&mut checkpoints, 30, None).unwrap();
        let (again, notices) = Checkpoints::open(directory.path(), RETENTION).unwrap();
        assert!(notices.is_empty(), "{notices:?}");
        assert_eq!(steps(&again), [10, 20, 30]);
        assert_whole(&again);
    }
}

#[cfg(unix)]
#[test]
fn row_15_links_are_not_followed() {
    let (_directory, checkpoints, notices) = after(|at| {
        fs::rename(at.join("model.bin"), at.with_file_name("elsewhere")).unwrap();
        std::os::unix::fs::symlink("../elsewhere", at.join("model.bin")).unwrap();
    });
    assert_eq!(steps(&checkpoints), [10, 20]);
    assert!(notices[0].contains("not an ordinary file"), "{notices:?}");
}

#[test]
fn damaged_checkpoints_go_with_the_next_save_and_those_of_other_programs_stay() {
    let directory = prepared();
    change(&directory.path().join("step-00000010/model.bin"), |b| b[0] ^= 1);
    let newer = directory.path().join("step-00000020/MANIFEST.json");
    let text = fs::read_to_string(&newer).unwrap().replace("checkpoint/1", "checkpoint/2");
    fs::write(&newer, text).unwrap();
    let (mut checkpoints, notices) = Checkpoints::open(directory.path(), RETENTION).unwrap();
    assert!(notices.iter().all(|notice| matches!(notice, Notice::Damaged { .. })), "{notices:?}");
    assert_eq!(steps(&checkpoints), [30]);
    assert_eq!(checkpoints.damaged().len(), 2);
    save(&mut checkpoints, 40, None).unwrap();
    assert!(!directory.path().join("step-00000010").exists());
    assert!(newer.exists());
    let [left] = checkpoints.damaged() else { panic!("{:?}", checkpoints.damaged()) };
    assert!(matches!(left.damage, Damage::Format { .. }));
}

#[test]
fn what_only_another_program_can_read_is_set_aside_not_replaced() {
    let (directory, mut checkpoints, _) = after(|at| {
        let path = at.join("MANIFEST.json");
        let text = fs::read_to_string(&path).unwrap().replace("checkpoint/1", "checkpoint/2");
        fs::write(path, text).unwrap();
    });
    save(&mut checkpoints, 30, None).unwrap();
    let notices = checkpoints.take_notices();
    assert!(matches!(&notices[..], [Notice::SetAside { .. }]), "{notices:?}");
    assert_eq!(steps(&checkpoints), [10, 20, 30]);
    let aside = directory.path().join("unreadable-00000030-0/model.bin");
    assert_eq!(fs::read(aside).unwrap(), model(30));
}

#[test]
fn nothing_good_is_said_and_does_not_stop_a_new_beginning() {
    let directory = prepared();
    for step in [10, 20, 30] {
        let file = directory.path().join(format!("step-{step:08}/state.json"));
        fs::remove_file(file).unwrap();
    }
    let (mut checkpoints, notices) = Checkpoints::open(directory.path(), RETENTION).unwrap();
    assert!(checkpoints.latest().is_none() && checkpoints.best().is_none());
    assert_eq!(checkpoints.damaged().len(), 3);
    assert_eq!(notices.len(), 3);
    assert!(notices.iter().all(|n| n.to_string().ends_with("no good checkpoint is left")));
    save(&mut checkpoints, 10, None).unwrap();
    let (again, notices) = Checkpoints::open(directory.path(), RETENTION).unwrap();
    assert!(notices.is_empty(), "{notices:?}");
    assert_eq!(steps(&again), [10]);
}

/// Between opening and reading the disk may go bad; what is read is checked again.
#[test]
fn row_15_reading_checks_again() {
    let directory = prepared();
    let (checkpoints, _) = Checkpoints::open(directory.path(), RETENTION).unwrap();
    let latest = checkpoints.latest().unwrap();
    change(&latest.file("model.bin"), |b| b[100] ^= 1);
    let error = latest.read("model.bin").unwrap_err();
    assert!(matches!(error, Error::Damaged { damage: Damage::Hash { .. }, .. }), "{error}");
    assert!(matches!(latest.read("other.bin"), Err(Error::NoSuchFile { .. })));
}

#[test]
fn a_checkpoint_that_was_taken_away_is_missed() {
    let (_directory, checkpoints, notices) = after(|at| fs::remove_dir_all(at).unwrap());
    assert_eq!(steps(&checkpoints), [10, 20]);
    let expected = "LATEST names \"step-00000030\", which is not there; using step 20";
    assert_eq!(notices, [expected]);
}

#[test]
fn a_glance_sees_manifests_and_changes_nothing() {
    let directory = prepared();
    let half = directory.path().join("tmp-00000040");
    fs::create_dir(&half).unwrap();
    let seen = Checkpoints::glance(directory.path()).unwrap();
    assert_eq!(seen.iter().map(|c| c.step).collect::<Vec<_>>(), [10, 20, 30]);
    assert_eq!(seen[2].manifest.parent, Some(20));
    assert!(half.exists());
    assert!(Checkpoints::glance(&directory.path().join("nothing")).unwrap().is_empty());
    let (_, notices) = Checkpoints::open(directory.path(), RETENTION).unwrap();
    assert!(matches!(&notices[..], [Notice::LeftoverRemoved { .. }]), "{notices:?}");
    assert!(!half.exists());
}
