//! Which rows a step takes: each epoch in an order of its own. A function of seed and step, so that
//! a resumed run needs no cursor.

use afterthought_random::Stream;

/// The order of rows over the epochs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Order {
    pub(super) seed: u64,
    pub(super) rows: usize,
    /// Rows of a step.
    pub(super) batch: usize,
}

impl Order {
    /// The rows of a step, from 0. A batch may go across the end of an epoch.
    pub(super) fn of(&self, step: u64) -> Vec<usize> {
        let first = step * self.batch as u64;
        let (mut epoch, mut shuffled) = (u64::MAX, Vec::new());
        (first..first + self.batch as u64)
            .map(|at| {
                let (own, index) = (at / self.rows as u64, at % self.rows as u64);
                if own != epoch {
                    (epoch, shuffled) = (own, self.epoch(own));
                }
                shuffled[index as usize]
            })
            .collect()
    }

    fn epoch(&self, epoch: u64) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.rows).collect();
        Stream::new(self.seed, "order of rows", epoch, 0).shuffle(&mut order);
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_comes_once_an_epoch_and_epochs_differ() {
        let order = Order { seed: 3, rows: 10, batch: 4 };
        let all: Vec<usize> = (0..5).flat_map(|step| order.of(step)).collect();
        for epoch in all.chunks(10) {
            let mut sorted = epoch.to_vec();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..10).collect::<Vec<_>>());
        }
        assert_ne!(all[..10], all[10..]);
        assert_eq!(order.of(2), all[8..12]);
    }

    #[test]
    fn a_batch_may_be_larger_than_an_epoch() {
        let order = Order { seed: 0, rows: 3, batch: 7 };
        let count = |row| order.of(0).iter().filter(|found| **found == row).count();
        assert!((0..3).all(|row| (2..=3).contains(&count(row))));
    }
}
