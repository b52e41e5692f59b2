//! Which checkpoints stay, over saves and resumes, against a plain model.
#![allow(clippy::unwrap_used, missing_docs)]

use afterthought_runs::Retention;
use afterthought_runs::testing::{FaultStorage, Image};
use proptest::prelude::*;

mod support;
use support::{assert_whole, open, save, steps};

/// Of all that were ever saved: those with fewer than `last` newer or fewer than `best` better.
fn expected(saved: &[(u64, Option<f64>)], retention: Retention) -> Vec<u64> {
    let newer = |this: &(u64, Option<f64>)| saved.iter().filter(|other| other.0 > this.0).count();
    let better = |this: &(u64, Option<f64>)| {
        let beats = |other: &&(u64, Option<f64>)| match (other.1, this.1) {
            (Some(a), Some(b)) => a > b || (a == b && other.0 < this.0),
            _ => false,
        };
        this.1.map(|_| saved.iter().filter(beats).count())
    };
    let stays = |this: &&(u64, Option<f64>)| {
        newer(this) < retention.last || better(this).is_some_and(|count| count < retention.best)
    };
    saved.iter().filter(stays).map(|(step, _)| *step).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// A resume before any save changes nothing: retention looks at the disk, not at the process.
    #[test]
    fn the_disk_holds_what_was_ever_best_and_the_last(
        saves in proptest::collection::vec(
            (
                proptest::option::of(prop_oneof![Just(0.0), Just(1.0), -2.0..2.0]),
                any::<bool>(),
                1_u64..20,
            ),
            1..14,
        ),
        last in 1_usize..4,
        best in 0_usize..4,
    ) {
        let retention = Retention { last, best };
        let storage = FaultStorage::of(Image::default());
        let mut checkpoints = open(&storage, retention);
        let mut saved = Vec::new();
        let mut step = 0;
        for (metric, resume, distance) in saves {
            step += distance;
            save(&mut checkpoints, step, metric).unwrap();
            saved.push((step, metric));
            prop_assert_eq!(steps(&checkpoints), expected(&saved, retention));
            let now = open(&storage, retention);
            prop_assert_eq!(steps(&now), steps(&checkpoints));
            assert_whole(&now);
            let best = saved.iter().filter_map(|(step, metric)| Some((*step, (*metric)?)));
            let best = best.reduce(|a, b| if b.1 > a.1 { b } else { a }).map(|(step, _)| step);
            if retention.best > 0 {
                prop_assert_eq!(now.best().map(|c| c.step), best);
            }
            if resume {
                checkpoints = now;
            }
        }
    }
}

/// A metric comes back to the last bit as it was compared before, so that a resume ranks alike.
#[test]
fn a_metric_is_the_same_before_and_after_a_resume() {
    let storage = FaultStorage::of(Image::default());
    let retention = Retention { last: 100, best: 1 };
    let mut checkpoints = open(&storage, retention);
    for step in 1..60 {
        save(&mut checkpoints, step, Some((step as f64).sqrt() * 1e-3)).unwrap();
    }
    let again = open(&storage, retention);
    for (a, b) in checkpoints.all().iter().zip(again.all()) {
        assert_eq!(a.manifest, b.manifest);
    }
}

/// With a smaller retention the surplus goes at the next save, not at the opening.
#[test]
fn a_smaller_retention_takes_effect_with_the_next_save() {
    let storage = FaultStorage::of(Image::default());
    let mut checkpoints = open(&storage, Retention { last: 5, best: 0 });
    for (step, metric) in [(1, 0.5), (2, 0.9), (3, 0.1), (4, 0.2)] {
        save(&mut checkpoints, step, Some(metric)).unwrap();
    }
    let mut checkpoints = open(&storage, Retention { last: 1, best: 1 });
    assert_eq!(steps(&checkpoints), [1, 2, 3, 4]);
    save(&mut checkpoints, 5, None).unwrap();
    assert_eq!(steps(&checkpoints), [2, 5]);
}
