use afterthought_random::Stream;

use super::{Grid, all_grids};

/// The 288 grids dealt into three sets that share no grid. Puzzles made from different sets
/// therefore never share a solution (d1's training and test files do).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GridSplit {
    /// 192 grids.
    pub train: Vec<Grid>,
    /// 48 grids.
    pub validation: Vec<Grid>,
    /// 48 grids.
    pub test: Vec<Grid>,
}

/// Deals the grids: two thirds, one sixth, one sixth; a pure function of `seed`.
pub fn split_grids(seed: u64) -> GridSplit {
    let mut grids = all_grids();
    Stream::new(seed, "sudoku split", 0, 0).shuffle(&mut grids);
    let test = grids.split_off(240);
    let validation = grids.split_off(192);
    GridSplit { train: grids, validation, test }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_three_sets_partition_the_grids() {
        let split = split_grids(11);
        assert_eq!((split.train.len(), split.validation.len(), split.test.len()), (192, 48, 48));
        let all: BTreeSet<Grid> =
            [&split.train, &split.validation, &split.test].into_iter().flatten().copied().collect();
        assert_eq!(all.into_iter().collect::<Vec<_>>(), all_grids());
        assert_eq!(split, split_grids(11));
        assert_ne!(split, split_grids(12));
    }
}
