use std::collections::BTreeSet;

/// Which checkpoints stay when a new one is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// The newest ones, at least 1.
    pub last: usize,
    /// Those with the best metrics. Of equals the earlier; one without a metric is never best.
    pub best: usize,
}

impl Retention {
    /// The steps that stay, of checkpoints given as step and metric.
    pub(super) fn kept(self, checkpoints: &[(u64, Option<f64>)]) -> BTreeSet<u64> {
        let mut newest: Vec<u64> = checkpoints.iter().map(|(step, _)| *step).collect();
        newest.sort_unstable_by(|a, b| b.cmp(a));
        let mut best: Vec<(u64, f64)> =
            checkpoints.iter().filter_map(|(step, metric)| Some((*step, (*metric)?))).collect();
        best.sort_by(|(a_step, a), (b_step, b)| b.total_cmp(a).then(a_step.cmp(b_step)));
        let best = best.into_iter().map(|(step, _)| step);
        newest.into_iter().take(self.last).chain(best.take(self.best)).collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Against the definition: fewer than `last` are newer, or fewer than `best` are better.
        #[test]
        fn kept_are_the_last_and_the_best(
            metrics in proptest::collection::vec(
                proptest::option::of(prop_oneof![Just(0.0), Just(-1.5), Just(2.0), -3.0..3.0]),
                0..12,
            ),
            last in 1_usize..5,
            best in 0_usize..5,
        ) {
            let all: Vec<_> = metrics.iter().enumerate().map(|(i, m)| (10 * i as u64, *m)).collect();
            let better = |a: &(u64, Option<f64>), b: &(u64, Option<f64>)| match (a.1, b.1) {
                (Some(x), Some(y)) => x > y || (x == y && a.0 < b.0),
                _ => false,
            };
            let expected: BTreeSet<u64> = all
                .iter()
                .filter(|this| {
                    all.iter().filter(|other| other.0 > this.0).count() < last
                        || (this.1.is_some()
                            && all.iter().filter(|other| better(other, this)).count() < best)
                })
                .map(|(step, _)| *step)
                .collect();
            prop_assert_eq!(Retention { last, best }.kept(&all), expected);
        }
    }
}
