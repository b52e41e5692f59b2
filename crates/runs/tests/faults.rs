//! Row 16: a disk that is full, read-only or broken at any call of a save or of an opening.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::path::Path;

use afterthought_runs::testing::{Fault, FaultStorage, Image, Refusal};
use afterthought_runs::{Checkpoints, Error, Retention};

mod support;
use support::{DIRECTORY, assert_whole, model, open, save, state, steps};

const RETENTION: Retention = Retention { last: 2, best: 1 };
const REFUSALS: [Refusal; 3] = [Refusal::Full, Refusal::ReadOnly, Refusal::Broken];

/// A directory with checkpoints 10 (the best), 20 and 30. Saving 40 removes 20.
fn prepared() -> Image {
    let storage = FaultStorage::of(Image::default());
    let mut checkpoints = open(&storage, RETENTION);
    for (step, metric) in [(10, 0.9), (20, 0.1), (30, 0.2)] {
        save(&mut checkpoints, step, Some(metric)).unwrap();
    }
    storage.image()
}

/// Every fault at each of the calls that `act` makes.
fn faults(calls: usize) -> impl Iterator<Item = Fault> {
    (0..calls).flat_map(move |call| {
        REFUSALS.into_iter().flat_map(move |refusal| {
            [false, true].into_iter().map(move |lasting| Fault { call, lasting, refusal })
        })
    })
}

fn good_on(image: Image) -> Vec<u64> {
    let checkpoints = open(&FaultStorage::of(image), RETENTION);
    assert!(checkpoints.damaged().is_empty());
    assert_whole(&checkpoints);
    steps(&checkpoints)
}

#[test]
fn row_16_a_save_that_fails_at_any_call_can_be_tried_again() {
    let image = prepared();
    let calm = FaultStorage::of(image.clone());
    let mut checkpoints = open(&calm, RETENTION);
    let opened = calm.calls();
    save(&mut checkpoints, 40, None).unwrap();
    let manifest = format!("{DIRECTORY}/step-00000040/MANIFEST.json");
    let manifest = calm.image().paths()[&manifest].as_ref().unwrap().len();
    let needed = (model(40).len() + state(40).len() + manifest) as u64;

    let (mut failed, mut noticed) = (0, 0);
    for fault in faults(calm.calls() - opened) {
        let storage = FaultStorage::of(image.clone());
        let mut checkpoints = open(&storage, RETENTION);
        storage.set_free_bytes(77);
        storage.set_fault(Some(Fault { call: storage.calls() + fault.call, ..fault }));
        let result = save(&mut checkpoints, 40, None);
        storage.set_fault(None);
        match result {
            Err(error) => {
                failed += 1;
                assert!(error.is_retryable(), "{fault:?}: {error}");
                let Error::Save { step, space, .. } = error else { panic!("{error:?}") };
                assert_eq!((step, space.needed, space.free), (40, needed, Some(77)), "{fault:?}");
                let found = good_on(storage.image());
                // When even the way back is barred, what is visible is whole.
                let barred = fault.lasting && found == [10, 20, 30, 40];
                assert!(found == [10, 20, 30] || barred, "{fault:?}: {found:?}");
                save(&mut checkpoints, 40, None).unwrap();
            }
            Ok(_) => {
                noticed += usize::from(!checkpoints.take_notices().is_empty());
                assert!(good_on(storage.image()).ends_with(&[30, 40]), "{fault:?}");
            }
        }
        // A power loss now may cost what the failure left undone, never what was saved.
        for image in storage.crash_states(storage.operations()).images(64, 3) {
            let checkpoints = open(&FaultStorage::of(image), RETENTION);
            assert_whole(&checkpoints);
            assert!(
                steps(&checkpoints).ends_with(&[30, 40]),
                "{fault:?}: {:?}",
                steps(&checkpoints)
            );
        }
        save(&mut checkpoints, 50, None).unwrap();
        assert!(checkpoints.take_notices().is_empty(), "{fault:?}");
        assert_eq!(good_on(storage.image()), [10, 40, 50], "{fault:?}");
        let paths = storage.image().paths();
        assert!(!paths.keys().any(|path| path.contains("tmp-")), "{fault:?}: {:?}", paths.keys());
        assert_eq!(paths[&format!("{DIRECTORY}/LATEST")].as_deref(), Some(&b"step-00000050\n"[..]));
    }
    assert!(failed > 50 && noticed > 20, "{failed} failed, {noticed} noticed");
}

/// A full disk may keep `LATEST` from being written and so old checkpoints from being removed. They
/// go before the next save needs their space, not after it.
#[test]
fn row_16_what_was_left_undone_is_done_before_the_next_save() {
    let image = prepared();
    let (latest, old) = (format!("{DIRECTORY}/LATEST"), format!("{DIRECTORY}/step-00000020"));
    let mut left_undone = 0;
    for call in 0..60 {
        let storage = FaultStorage::of(image.clone());
        let mut checkpoints = open(&storage, RETENTION);
        let call = storage.calls() + call;
        storage.set_fault(Some(Fault { call, lasting: false, refusal: Refusal::Full }));
        let result = save(&mut checkpoints, 40, None);
        storage.set_fault(None);
        let paths = storage.image().paths();
        if result.is_err() || paths[&latest].as_deref() == Some(b"step-00000040\n") {
            continue;
        }
        left_undone += 1;
        assert!(paths.contains_key(&old));
        checkpoints
            .save(&support::new(50, None, None), &mut |_| Err(Error::content("none yet")))
            .unwrap_err();
        let paths = storage.image().paths();
        assert!(!paths.contains_key(&old));
        assert_eq!(paths[&latest].as_deref(), Some(&b"step-00000040\n"[..]));
    }
    assert!(left_undone > 1, "{left_undone}");
}

#[test]
fn row_16_opening_with_a_fault_at_any_call_loses_nothing() {
    // With something to clear away: a save that was interrupted.
    let storage = FaultStorage::of(prepared());
    let mut checkpoints = open(&storage, RETENTION);
    let call = storage.calls() + 6;
    storage.set_fault(Some(Fault { call, lasting: true, refusal: Refusal::Broken }));
    save(&mut checkpoints, 40, None).unwrap_err();
    let image = storage.image();
    assert!(image.paths().keys().any(|path| path.contains("tmp-")));

    let calm = FaultStorage::of(image.clone());
    open(&calm, RETENTION);
    let mut unreadable = 0;
    for fault in faults(calm.calls()) {
        let storage = FaultStorage::of(image.clone());
        storage.set_fault(Some(fault));
        let result = Checkpoints::open_on(storage.clone(), Path::new(DIRECTORY), RETENTION);
        let all_read = fault.refusal != Refusal::Broken;
        match result {
            Ok((mut checkpoints, notices)) => {
                assert!(!all_read || steps(&checkpoints) == [10, 20, 30], "{fault:?}");
                assert!(!notices.is_empty(), "{fault:?}");
                storage.set_fault(None);
                // What could not be read for a moment must not be removed by what follows.
                let unread: Vec<u64> = checkpoints.damaged().iter().map(|d| d.step).collect();
                unreadable += unread.len();
                save(&mut checkpoints, 50, None).unwrap();
                let kept = steps(&open(&storage, RETENTION));
                assert!(unread.iter().all(|step| kept.contains(step)), "{fault:?}: {kept:?}");
            }
            Err(error) => assert!(matches!(error, Error::Io { .. }), "{fault:?}: {error}"),
        }
        storage.set_fault(None);
        assert!(open(&storage, RETENTION).latest().is_some(), "{fault:?}");
    }
    assert!(unreadable > 10, "{unreadable}");
}

#[test]
fn row_16_a_read_only_directory_can_be_read_and_stays_as_it_is() {
    let image = prepared();
    let storage = FaultStorage::of(image.clone());
    storage.set_fault(Some(Fault { call: 0, lasting: true, refusal: Refusal::ReadOnly }));
    let mut checkpoints = open(&storage, RETENTION);
    assert_eq!(steps(&checkpoints), [10, 20, 30]);
    assert_whole(&checkpoints);
    let error = save(&mut checkpoints, 40, None).unwrap_err();
    assert!(error.is_retryable());
    assert_eq!(storage.image(), image);

    let nothing = FaultStorage::of(Image::default());
    nothing.set_fault(Some(Fault { call: 0, lasting: true, refusal: Refusal::ReadOnly }));
    let error = Checkpoints::open_on(nothing, Path::new(DIRECTORY), RETENTION).unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error}");
}

/// The content's own error passes through and leaves nothing.
#[test]
fn an_error_of_the_content_is_not_the_disks() {
    let storage = FaultStorage::of(prepared());
    let before = storage.image();
    let mut checkpoints = open(&storage, RETENTION);
    let error = checkpoints
        .save(&support::new(40, Some(30), None), &mut |writer| {
            writer.file("state.json", b"{}")?;
            writer.stream("model.bin", &mut |out| {
                out.write_all(b"half")?;
                Err(std::io::Error::other("layer 3 is not finite"))
            })
        })
        .unwrap_err();
    let Error::Content(source) = &error else { panic!("{error:?}") };
    assert_eq!(source.to_string(), "layer 3 is not finite");
    assert!(!error.is_retryable());
    assert_eq!(storage.image(), before);
    for name in ["../outside", "MANIFEST.json", "state.json", "State.json"] {
        let error = checkpoints.save(&support::new(40, Some(30), None), &mut |writer| {
            writer.file("state.json", b"{}")?;
            writer.file(name, b"x")
        });
        assert!(matches!(error, Err(Error::FileName { .. })), "{name}");
    }
    assert_eq!(storage.image(), before);
}

#[test]
fn what_cannot_be_a_checkpoint_is_refused_before_anything_is_written() {
    let storage = FaultStorage::of(prepared());
    let before = storage.image();
    let mut checkpoints = open(&storage, RETENTION);
    for metric in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let error = save(&mut checkpoints, 40, Some(metric)).unwrap_err();
        assert!(matches!(error, Error::NonFiniteMetric { step: 40, .. }));
    }
    assert!(matches!(save(&mut checkpoints, 30, None), Err(Error::AlreadySaved { step: 30, .. })));
    let error = save(&mut checkpoints, 25, None).unwrap_err();
    assert!(matches!(error, Error::OutOfOrder { step: 25, latest: 30, .. }));
    let none = Retention { last: 0, best: 1 };
    let error = Checkpoints::open_on(storage.clone(), Path::new(DIRECTORY), none).unwrap_err();
    assert!(matches!(error, Error::Retention));
    assert_eq!(storage.image(), before);
}
