//! The two products of attention for a few queries and a run of blocks of keys and values.

use crate::cpu::lanes::{LANES, Lanes, with_lanes};

/// Most queries of a call.
pub(super) const QUERIES: usize = 8;

/// Calls `$function::<V, R>` for the number of queries.
macro_rules! for_queries {
    ($queries:expr, $function:ident, $($arg:expr),*) => {
        match $queries {
            1 => $function::<V, 1>($($arg),*),
            2 => $function::<V, 2>($($arg),*),
            3 => $function::<V, 3>($($arg),*),
            4 => $function::<V, 4>($($arg),*),
            5 => $function::<V, 5>($($arg),*),
            6 => $function::<V, 6>($($arg),*),
            7 => $function::<V, 7>($($arg),*),
            8 => $function::<V, 8>($($arg),*),
            queries => panic!("{queries} queries exceed the registers"),
        }
    };
}

with_lanes! {
    /// Scores of `queries`, rows of `dim` values, into columns from `first` on of rows of
    /// `columns` scores. A score is one sum in the order of dimensions.
    pub(super) fn score<V>(
        scores: &mut [f32],
        columns: usize,
        first: usize,
        queries: &[f32],
        dim: usize,
        blocks: &[f32],
    ) {
        let len = LANES * (dim + dim.next_multiple_of(LANES));
        assert!(first + blocks.len() / len * LANES <= columns, "more keys than columns");
        assert_eq!(queries.len() / dim * columns, scores.len(), "one row of scores a query");
        for_queries!(queries.len() / dim, score_rows, scores, columns, first, queries, dim, blocks);
    }
}

#[inline(always)]
fn score_rows<V: Lanes, const R: usize>(
    scores: &mut [f32],
    columns: usize,
    first: usize,
    queries: &[f32],
    dim: usize,
    blocks: &[f32],
) {
    let len = LANES * (dim + dim.next_multiple_of(LANES));
    let mut rest = blocks;
    let mut at = first;
    // Few queries give few independent sums, so several blocks are taken at once.
    if R <= 2 {
        while rest.len() >= 4 * len {
            score_blocks::<V, R, 4>(scores, columns, at, queries, dim, rest);
            (rest, at) = (&rest[4 * len..], at + 4 * LANES);
        }
    }
    if R <= 4 {
        while rest.len() >= 2 * len {
            score_blocks::<V, R, 2>(scores, columns, at, queries, dim, rest);
            (rest, at) = (&rest[2 * len..], at + 2 * LANES);
        }
    }
    while rest.len() >= len {
        score_blocks::<V, R, 1>(scores, columns, at, queries, dim, rest);
        (rest, at) = (&rest[len..], at + LANES);
    }
}

#[inline(always)]
fn score_blocks<V: Lanes, const R: usize, const B: usize>(
    scores: &mut [f32],
    columns: usize,
    at: usize,
    queries: &[f32],
    dim: usize,
    blocks: &[f32],
) {
    let len = LANES * (dim + dim.next_multiple_of(LANES));
    assert!(queries.len() == R * dim && blocks.len() >= B * len);
    let keys: [&[[f32; LANES]]; B] =
        std::array::from_fn(|block| blocks[block * len..][..dim * LANES].as_chunks().0);
    let mut sums = [[V::zero(); B]; R];
    for i in 0..dim {
        // SAFETY: each block has `dim` lines of keys.
        let keys = keys.map(|keys| V::load(unsafe { keys.get_unchecked(i) }));
        for (query, sums) in sums.iter_mut().enumerate() {
            // SAFETY: `query` < R and `i` < `dim`; the length has been checked.
            let factor = unsafe { *queries.get_unchecked(query * dim + i) };
            for (sum, keys) in sums.iter_mut().zip(keys) {
                *sum = sum.add_product(factor, keys);
            }
        }
    }
    for (row, sums) in scores.chunks_exact_mut(columns).zip(sums) {
        let row = row[at..at + B * LANES].as_chunks_mut::<LANES>().0;
        for (to, sum) in row.iter_mut().zip(sums) {
            sum.store(to);
        }
    }
}

with_lanes! {
    /// Adds the values of `blocks`, weighted by the scores in the columns from `first` on, to
    /// `sums`, rows of `width` values. Each is one sum in the order of positions.
    pub(super) fn weigh<V>(
        sums: &mut [f32],
        width: usize,
        scores: &[f32],
        columns: usize,
        first: usize,
        dim: usize,
        blocks: &[f32],
    ) {
        assert!(columns > 0 && width == dim.next_multiple_of(LANES), "values of a wrong width");
        let queries = scores.len() / columns;
        assert_eq!(queries * width, sums.len(), "one row of sums a query");
        let len = LANES * (dim + width);
        assert!(first + blocks.len() / len * LANES <= columns, "more keys than columns");
        for_queries!(queries, weigh_rows, sums, width, scores, columns, first, dim, blocks);
    }
}

#[inline(always)]
fn weigh_rows<V: Lanes, const R: usize>(
    sums: &mut [f32],
    width: usize,
    scores: &[f32],
    columns: usize,
    first: usize,
    dim: usize,
    blocks: &[f32],
) {
    let mut at = 0;
    while at + 2 * LANES <= width {
        weigh_columns::<V, R, 2>(sums, width, at, scores, columns, first, dim, blocks);
        at += 2 * LANES;
    }
    if at < width {
        weigh_columns::<V, R, 1>(sums, width, at, scores, columns, first, dim, blocks);
    }
}

#[inline(always)]
#[allow(clippy::too_many_arguments)]
fn weigh_columns<V: Lanes, const R: usize, const C: usize>(
    sums: &mut [f32],
    width: usize,
    at: usize,
    scores: &[f32],
    columns: usize,
    first: usize,
    dim: usize,
    blocks: &[f32],
) {
    assert!(scores.len() == R * columns && sums.len() == R * width);
    let mut totals = [[V::zero(); C]; R];
    for (row, totals) in sums.chunks_exact(width).zip(&mut totals) {
        for (total, from) in totals.iter_mut().zip(row[at..].as_chunks::<LANES>().0) {
            *total = V::load(from);
        }
    }
    for (index, block) in blocks.chunks_exact(LANES * (dim + width)).enumerate() {
        let start = first + index * LANES;
        let scores: [&[f32; LANES]; R] = std::array::from_fn(|query| {
            let row = &scores[query * columns..][..columns];
            &row[start..].as_chunks::<LANES>().0[0]
        });
        for (position, values) in block[LANES * dim..].chunks_exact(width).enumerate() {
            let values = values[at..].as_chunks::<LANES>().0;
            let values: [V; C] = std::array::from_fn(|column| V::load(&values[column]));
            for (totals, scores) in totals.iter_mut().zip(scores) {
                // SAFETY: a block has 16 rows of values, as many as scores.
                let score = unsafe { *scores.get_unchecked(position) };
                for (total, values) in totals.iter_mut().zip(values) {
                    *total = total.add_product(score, values);
                }
            }
        }
    }
    for (row, totals) in sums.chunks_exact_mut(width).zip(totals) {
        for (to, total) in row[at..].as_chunks_mut::<LANES>().0.iter_mut().zip(totals) {
            total.store(to);
        }
    }
}
