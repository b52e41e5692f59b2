//! f32 matrices as strips of bf16 tiles.
//!
//! A strip covers 16 rows of a left operand or 16 columns of a right one, for the whole inner
//! dimension, 32 values of it a tile. Strips come in pairs; what lies outside the matrix is zero.

use super::round::{Round, with_rounding};

/// Rows of a left operand, or columns of a right operand, in a tile.
const STRIP: usize = 16;

/// Extent of the inner dimension in a tile.
const DEPTH: usize = 32;

/// 16 rows of 16 pairs of bf16 values, the first of a pair in the low half.
///
/// In a tile of a left operand a row holds 32 successive values of one matrix row. In a tile of a
/// right operand row `r` holds, for each of 16 columns, the values of matrix rows `2r` and
/// `2r + 1`. Transposing the pairs turns the one into the other, for the transposed matrix.
#[repr(C, align(64))]
pub(crate) struct Tile([u32; 256]);

impl Tile {
    /// A tile of zeros.
    pub(crate) const ZERO: Self = Self([0; 256]);

    /// The pairs, row by row.
    pub(crate) fn pairs(&self) -> &[u32; 256] {
        &self.0
    }

    /// The pairs, to be replaced.
    pub(crate) fn pairs_mut(&mut self) -> &mut [u32; 256] {
        &mut self.0
    }
}

/// `len` tiles whose contents are unspecified until they are packed.
///
/// The packing functions write every tile they are given.
#[allow(clippy::uninit_vec)]
pub(crate) fn unfilled_tiles(len: usize) -> Vec<Tile> {
    let mut tiles = Vec::with_capacity(len);
    // SAFETY: the capacity is `len`, every bit pattern is a valid tile, which needs no drop, and
    // the callers pack each tile before reading it.
    unsafe { tiles.set_len(len) };
    tiles
}

/// Tiles that cover an inner dimension.
pub(crate) fn depth(inner: usize) -> usize {
    inner.div_ceil(DEPTH)
}

/// Tiles of an operand with `outer` rows (left) or columns (right).
pub(crate) fn tiles(outer: usize, inner: usize) -> usize {
    2 * outer.div_ceil(2 * STRIP) * depth(inner)
}

with_rounding! {
    /// Packs rows of `inner` values, `stride` apart, as a left operand, for as many strips as
    /// `tiles` has.
    pub(crate) fn rows<R>(tiles: &mut [Tile], values: &[f32], inner: usize, stride: usize) {
        rows_body::<R>(tiles, values, inner, stride);
    }
}

with_rounding! {
    /// Packs at most 16 rows of `inner` values as one strip of a left operand; of each tile only
    /// as many rows are written.
    pub(crate) fn round_rows<R>(strip: &mut [Tile], values: &[f32], inner: usize) {
        for (line, row) in values.chunks_exact(inner).enumerate() {
            let (chunks, rest) = row.as_chunks::<DEPTH>();
            for (tile, chunk) in strip.iter_mut().zip(chunks) {
                R::adjacent(&mut tile.0.as_chunks_mut::<16>().0[line], chunk);
            }
            if let Some(tile) = strip.get_mut(chunks.len()) {
                let mut chunk = [0.0; DEPTH];
                chunk[..rest.len()].copy_from_slice(rest);
                R::adjacent(&mut tile.0.as_chunks_mut::<16>().0[line], &chunk);
            }
        }
    }
}

with_rounding! {
    /// Packs the transpose of rows of `inner` values, `stride` apart, as a right operand.
    pub(crate) fn rows_transposed<R>(
        tiles: &mut [Tile],
        values: &[f32],
        inner: usize,
        stride: usize,
    ) {
        let strips = tiles.chunks_exact_mut(2 * depth(inner));
        for (strip, values) in strips.zip(values.chunks(2 * STRIP * stride)) {
            rows_body::<R>(strip, values, inner, stride);
            for tile in strip {
                transpose(tile);
            }
        }
    }
}

with_rounding! {
    /// Packs rows of `outer` values, `stride` apart, as steps `first..` of a right operand whose
    /// strips have `depth` tiles.
    pub(crate) fn row_pairs<R>(
        tiles: &mut [Tile],
        depth: usize,
        first: usize,
        values: &[f32],
        outer: usize,
        stride: usize,
    ) {
        for (step, values) in (first..).zip(values.chunks(DEPTH * stride)) {
            row_pairs_body::<R>(tiles, depth, step, values, outer, stride);
        }
    }
}

with_rounding! {
    /// Packs the transpose of rows of `outer` values, `stride` apart, as steps `first..` of a left
    /// operand whose strips have `depth` tiles.
    pub(crate) fn row_pairs_transposed<R>(
        tiles: &mut [Tile],
        depth: usize,
        first: usize,
        values: &[f32],
        outer: usize,
        stride: usize,
    ) {
        for (step, values) in (first..).zip(values.chunks(DEPTH * stride)) {
            row_pairs_body::<R>(tiles, depth, step, values, outer, stride);
            for tile in tiles[step..].iter_mut().step_by(depth) {
                transpose(tile);
            }
        }
    }
}

#[inline(always)]
fn rows_body<R: Round>(tiles: &mut [Tile], values: &[f32], inner: usize, stride: usize) {
    let depth = depth(inner);
    let mut strips = values.chunks(STRIP * stride);
    for strip in tiles.chunks_exact_mut(depth) {
        let values = strips.next().unwrap_or(&[]);
        for (step, tile) in strip.iter_mut().enumerate() {
            let lines = tile.0.as_chunks_mut::<16>().0;
            let mut rows = values.chunks(stride);
            for line in lines {
                let Some(row) = rows.next() else {
                    *line = [0; 16];
                    continue;
                };
                let row = &row[step * DEPTH..inner];
                if let Some(chunk) = row.first_chunk::<DEPTH>() {
                    R::adjacent(line, chunk);
                } else {
                    let mut chunk = [0.0; DEPTH];
                    chunk[..row.len()].copy_from_slice(row);
                    R::adjacent(line, &chunk);
                }
            }
        }
    }
}

/// Packs at most 32 rows into tile `step` of every strip.
#[inline(always)]
fn row_pairs_body<R: Round>(
    tiles: &mut [Tile],
    depth: usize,
    step: usize,
    values: &[f32],
    outer: usize,
    stride: usize,
) {
    const ZEROS: [f32; STRIP] = [0.0; STRIP];
    let mut rows = values.chunks(stride).map(|row| &row[..outer]);
    for line in 0..STRIP {
        let even = rows.next().unwrap_or(&[]).as_chunks::<STRIP>();
        let odd = rows.next().unwrap_or(&[]).as_chunks::<STRIP>();
        let mut strips = tiles[step..].iter_mut().step_by(depth);
        let mut lines = strips.by_ref().map(|tile| &mut tile.0.as_chunks_mut::<16>().0[line]);
        if odd.0.len() == even.0.len() {
            for ((even, odd), to) in even.0.iter().zip(odd.0).zip(&mut lines) {
                R::pairs(to, even, odd);
            }
        } else {
            for (even, to) in even.0.iter().zip(&mut lines) {
                R::pairs(to, even, &ZEROS);
            }
        }
        for to in lines.take(1) {
            let (mut last_even, mut last_odd) = (ZEROS, ZEROS);
            last_even[..even.1.len()].copy_from_slice(even.1);
            last_odd[..odd.1.len()].copy_from_slice(odd.1);
            R::pairs(to, &last_even, &last_odd);
        }
        for to in strips {
            to.0.as_chunks_mut::<16>().0[line] = [0; 16];
        }
    }
}

/// Transposes the 16 x 16 pairs.
///
/// Interleaving the halves of the 256 pairs rotates the eight bits of every position by one; four
/// times exchange the row and the column.
#[inline(always)]
fn transpose(tile: &mut Tile) {
    let mut other = Tile([0; 256]);
    interleave(&mut other, tile);
    interleave(tile, &other);
    interleave(&mut other, tile);
    interleave(tile, &other);
}

#[inline(always)]
fn interleave(to: &mut Tile, from: &Tile) {
    let (low, high) = from.0.split_at(128);
    for ((to, low), high) in to.0.as_chunks_mut::<2>().0.iter_mut().zip(low).zip(high) {
        *to = [*low, *high];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Small integers, which bf16 holds exactly, all of them nonzero.
    fn integers(len: usize) -> Vec<f32> {
        (0..len).map(|i| (i % 251 + 1) as f32).collect()
    }

    fn filled(len: usize) -> Vec<Tile> {
        (0..len).map(|_| Tile([0x7fff_7fff; 256])).collect()
    }

    fn half(tile: &Tile, line: usize, pair: usize, second: usize) -> f32 {
        f32::from_bits(tile.0[line * 16 + pair] >> (16 * second) << 16)
    }

    #[test]
    fn tiles_hold_the_matrix_and_zeros() {
        for (rows, cols) in [(1, 1), (2, 16), (7, 33), (16, 32), (33, 17), (64, 64), (65, 96)] {
            let values = integers(rows * cols);
            let at = |row: usize, col: usize| {
                if row < rows && col < cols { values[row * cols + col] } else { 0.0 }
            };
            // The matrix as left operand, and its transpose as right one.
            let mut left = filled(tiles(rows, cols));
            super::rows(&mut left, &values, cols, cols);
            let mut right = filled(tiles(rows, cols));
            rows_transposed(&mut right, &values, cols, cols);
            for index in 0..left.len() {
                let (strip, step) = (index / depth(cols), index % depth(cols));
                for i in 0..16 * 16 * 2 {
                    let (outer, pair, second) = (i / 32, i / 2 % 16, i % 2);
                    let expected = at(strip * 16 + outer, step * 32 + 2 * pair + second);
                    assert_eq!(half(&left[index], outer, pair, second), expected);
                    assert_eq!(half(&right[index], pair, outer, second), expected);
                }
            }
            // The matrix as right operand, and its transpose as left one.
            let mut right = filled(tiles(cols, rows));
            row_pairs(&mut right, depth(rows), 0, &values, cols, cols);
            let mut left = filled(tiles(cols, rows));
            row_pairs_transposed(&mut left, depth(rows), 0, &values, cols, cols);
            for index in 0..right.len() {
                let (strip, step) = (index / depth(rows), index % depth(rows));
                for i in 0..16 * 16 * 2 {
                    let (outer, pair, second) = (i / 32, i / 2 % 16, i % 2);
                    let expected = at(step * 32 + 2 * pair + second, strip * 16 + outer);
                    assert_eq!(half(&right[index], pair, outer, second), expected);
                    assert_eq!(half(&left[index], outer, pair, second), expected);
                }
            }
        }
    }
}
