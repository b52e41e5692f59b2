//! f32 matrices as strips of tiles.
//!
//! A strip covers 16 rows of a left operand or 16 columns of a right one, for the whole inner
//! dimension, [`Element::DEPTH`] values of it a tile. Strips come in pairs; what lies outside the
//! matrix is zero.

use super::element::{Convert, Element, converting};
use crate::cpu::buffer::{AnyBits, unfilled};

/// Rows of a left operand, or columns of a right operand, in a tile.
const STRIP: usize = 16;

/// 16 lines of 16 words: an f32 value each, or a pair of bf16 values, the first in the low half.
///
/// In a tile of a left operand a line holds successive values of one matrix row. In a tile of a
/// right operand line `r` holds, for each of 16 columns, the value of matrix row `r` or, in bf16,
/// the values of matrix rows `2r` and `2r + 1`. Transposing the words turns the one into the other,
/// for the transposed matrix.
#[repr(C, align(64))]
pub(crate) struct Tile([u32; 256]);

impl Tile {
    /// A tile of zeros.
    pub(crate) const ZERO: Self = Self([0; 256]);

    /// The words, line by line.
    pub(crate) fn words(&self) -> &[u32; 256] {
        &self.0
    }

    /// The words, to be replaced.
    pub(crate) fn words_mut(&mut self) -> &mut [u32; 256] {
        &mut self.0
    }
}

// SAFETY: words of any bits.
unsafe impl AnyBits for Tile {}

/// `len` tiles whose contents are unspecified until they are packed: the packing functions write
/// every tile they are given.
pub(crate) fn unfilled_tiles(len: usize) -> Vec<Tile> {
    unfilled(len)
}

/// Tiles that cover an inner dimension.
pub(crate) fn depth<E: Element>(inner: usize) -> usize {
    inner.div_ceil(E::DEPTH)
}

/// Tiles of an operand with `outer` rows (left) or columns (right).
pub(crate) fn tiles<E: Element>(outer: usize, inner: usize) -> usize {
    strips(outer) * depth::<E>(inner)
}

/// Strips of an operand with `outer` rows (left) or columns (right).
pub(crate) fn strips(outer: usize) -> usize {
    2 * outer.div_ceil(2 * STRIP)
}

converting! {
    /// Packs rows of `inner` values, `stride` apart, as a left operand, for as many strips as
    /// `tiles` has.
    pub(crate) fn rows<R>(tiles: &mut [Tile], values: &[f32], inner: usize, stride: usize) {
        rows_body::<R>(tiles, values, inner, stride);
    }
}

converting! {
    /// Packs at most 16 rows of `inner` values as one strip of a left operand; of each tile only
    /// as many rows are written.
    pub(crate) fn round_rows<R>(strip: &mut [Tile], values: &[f32], inner: usize) {
        for (line, row) in values.chunks_exact(inner).enumerate() {
            for (tile, chunk) in strip.iter_mut().zip(row.chunks(R::DEPTH)) {
                adjacent::<R>(&mut tile.0.as_chunks_mut::<16>().0[line], chunk);
            }
        }
    }
}

converting! {
    /// Packs the transpose of rows of `inner` values, `stride` apart, as a right operand.
    pub(crate) fn rows_transposed<R>(
        tiles: &mut [Tile],
        values: &[f32],
        inner: usize,
        stride: usize,
    ) {
        let strips = tiles.chunks_exact_mut(2 * inner.div_ceil(R::DEPTH));
        for (strip, values) in strips.zip(values.chunks(2 * STRIP * stride)) {
            rows_body::<R>(strip, values, inner, stride);
            for tile in strip {
                transpose(tile);
            }
        }
    }
}

converting! {
    /// Packs rows of `outer` values, `stride` apart, as steps `first..` of a right operand whose
    /// strips have `depth` tiles.
    pub(crate) fn lines<R>(
        tiles: &mut [Tile],
        depth: usize,
        first: usize,
        values: &[f32],
        outer: usize,
        stride: usize,
    ) {
        for (step, values) in (first..).zip(values.chunks(R::DEPTH * stride)) {
            lines_body::<R>(tiles, depth, step, values, outer, stride);
        }
    }
}

converting! {
    /// Packs the transpose of rows of `outer` values, `stride` apart, as steps `first..` of a left
    /// operand whose strips have `depth` tiles.
    pub(crate) fn lines_transposed<R>(
        tiles: &mut [Tile],
        depth: usize,
        first: usize,
        values: &[f32],
        outer: usize,
        stride: usize,
    ) {
        for (step, values) in (first..).zip(values.chunks(R::DEPTH * stride)) {
            lines_body::<R>(tiles, depth, step, values, outer, stride);
            for tile in tiles[step..].iter_mut().step_by(depth) {
                transpose(tile);
            }
        }
    }
}

#[inline(always)]
fn rows_body<R: Convert>(tiles: &mut [Tile], values: &[f32], inner: usize, stride: usize) {
    let mut strips = values.chunks(STRIP * stride);
    for strip in tiles.chunks_exact_mut(inner.div_ceil(R::DEPTH)) {
        let values = strips.next().unwrap_or(&[]);
        for (step, tile) in strip.iter_mut().enumerate() {
            let lines = tile.0.as_chunks_mut::<16>().0;
            let mut rows = values.chunks(stride);
            for line in lines {
                let Some(row) = rows.next() else {
                    *line = [0; 16];
                    continue;
                };
                let row = &row[step * R::DEPTH..inner];
                adjacent::<R>(line, &row[..R::DEPTH.min(row.len())]);
            }
        }
    }
}

/// A line of a left operand, zeros after at most [`Convert::DEPTH`] values.
#[inline(always)]
fn adjacent<R: Convert>(line: &mut [u32; 16], values: &[f32]) {
    if values.len() == R::DEPTH {
        R::adjacent(line, values);
    } else {
        let mut chunk = [0.0; 32];
        chunk[..values.len()].copy_from_slice(values);
        R::adjacent(line, &chunk[..R::DEPTH]);
    }
}

/// Packs at most [`Convert::DEPTH`] rows into tile `step` of every strip.
#[inline(always)]
fn lines_body<R: Convert>(
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
        let odd = match R::ROWS {
            1 => even,
            _ => rows.next().unwrap_or(&[]).as_chunks::<STRIP>(),
        };
        let mut strips = tiles[step..].iter_mut().step_by(depth);
        let mut lines = strips.by_ref().map(|tile| &mut tile.0.as_chunks_mut::<16>().0[line]);
        if odd.0.len() == even.0.len() {
            for ((even, odd), to) in even.0.iter().zip(odd.0).zip(&mut lines) {
                R::columns(to, even, odd);
            }
        } else {
            for (even, to) in even.0.iter().zip(&mut lines) {
                R::columns(to, even, &ZEROS);
            }
        }
        for to in lines.take(1) {
            let (mut last_even, mut last_odd) = (ZEROS, ZEROS);
            last_even[..even.1.len()].copy_from_slice(even.1);
            last_odd[..odd.1.len()].copy_from_slice(odd.1);
            R::columns(to, &last_even, &last_odd);
        }
        for to in strips {
            to.0.as_chunks_mut::<16>().0[line] = [0; 16];
        }
    }
}

/// Transposes the 16 x 16 words.
///
/// Interleaving the halves of the 256 words rotates the eight bits of every position by one; four
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
    use super::super::element::{Bf16, F32};
    use super::*;
    use crate::precision::Precision;

    /// Small integers, which bf16 holds exactly, all of them nonzero.
    fn integers(len: usize) -> Vec<f32> {
        (0..len).map(|i| (i % 251 + 1) as f32).collect()
    }

    fn filled(len: usize) -> Vec<Tile> {
        (0..len).map(|_| Tile([0x7fff_7fff; 256])).collect()
    }

    /// Value `index` of a word.
    fn value<E: Element>(tile: &Tile, line: usize, word: usize, index: usize) -> f32 {
        let word = tile.0[line * 16 + word];
        f32::from_bits(match E::PRECISION {
            Precision::F32 => word,
            Precision::Bf16 => word >> (16 * index) << 16,
        })
    }

    #[test]
    fn tiles_hold_the_matrix_and_zeros() {
        for (rows, cols) in [(1, 1), (2, 16), (7, 33), (16, 32), (33, 17), (64, 64), (65, 96)] {
            check::<F32>(rows, cols);
            check::<Bf16>(rows, cols);
        }
    }

    fn check<E: Element>(rows: usize, cols: usize) {
        let values = integers(rows * cols);
        let at = |row: usize, col: usize| {
            if row < rows && col < cols { values[row * cols + col] } else { 0.0 }
        };
        // Line, word, value of it.
        let each = || (0..256 * E::DEPTH / 16).map(|i| (i / E::DEPTH, i % E::DEPTH));
        let in_word = E::DEPTH / 16;
        // The matrix as left operand, and its transpose as right one.
        let mut left = filled(tiles::<E>(rows, cols));
        super::rows::<E>(&mut left, &values, cols, cols);
        let mut right = filled(tiles::<E>(rows, cols));
        rows_transposed::<E>(&mut right, &values, cols, cols);
        for index in 0..left.len() {
            let (strip, step) = (index / depth::<E>(cols), index % depth::<E>(cols));
            for (outer, inner) in each() {
                let (word, part) = (inner / in_word, inner % in_word);
                let expected = at(strip * 16 + outer, step * E::DEPTH + inner);
                assert_eq!(value::<E>(&left[index], outer, word, part), expected);
                assert_eq!(value::<E>(&right[index], word, outer, part), expected);
            }
        }
        // The matrix as right operand, and its transpose as left one.
        let depth = depth::<E>(rows);
        let mut right = filled(tiles::<E>(cols, rows));
        lines::<E>(&mut right, depth, 0, &values, cols, cols);
        let mut left = filled(tiles::<E>(cols, rows));
        lines_transposed::<E>(&mut left, depth, 0, &values, cols, cols);
        for index in 0..right.len() {
            let (strip, step) = (index / depth, index % depth);
            for (outer, inner) in each() {
                let (word, part) = (inner / in_word, inner % in_word);
                let expected = at(step * E::DEPTH + inner, strip * 16 + outer);
                assert_eq!(value::<E>(&right[index], word, outer, part), expected);
                assert_eq!(value::<E>(&left[index], outer, word, part), expected);
            }
        }
    }
}
