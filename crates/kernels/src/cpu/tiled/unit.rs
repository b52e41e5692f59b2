//! The product of packed operands, by the best instructions for their elements: AMX tiles
//! ([`amx`]), AVX-512-BF16 ([`dot`]), or fused multiply-adds ([`fma`]).

use std::marker::PhantomData;

use super::element::Element;
use super::pack::Tile;
use super::{amx, dot, fma};
use crate::precision::Precision;

/// Rows and columns of the output that one pass of the micro-kernel computes: two tiles each way,
/// so that each tile loaded is used twice.
pub(crate) const BLOCK: usize = 32;

/// Whether a product replaces its output or is added to it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Write {
    Replace,
    Add,
}

/// Whether the processor can multiply bf16 values, with tiles or without.
pub(crate) fn bf16_supported() -> bool {
    amx::available() || dot::available()
}

/// How blocks are multiplied.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Instructions {
    /// bf16 by AMX tiles.
    Tiles,
    /// bf16 by AVX-512-BF16.
    Dot,
    /// f32.
    Fma,
}

/// What multiplies packed operands of elements `E` on the current thread: the tile unit, configured
/// while the value lives, or vector instructions.
///
/// At most one may live on a thread: dropping it releases the thread's configuration, and tile
/// instructions without one fault.
pub(crate) struct Unit<E> {
    instructions: Instructions,
    elements: PhantomData<E>,
    /// The configuration belongs to one thread, so the value must stay there.
    not_send: PhantomData<*mut ()>,
}

impl<E: Element> Unit<E> {
    /// Configures all eight tile registers as 16 rows of 64 bytes, if they serve these elements.
    pub(crate) fn configure() -> Self {
        let instructions = match E::PRECISION {
            Precision::F32 => Instructions::Fma,
            Precision::Bf16 if amx::available() => Instructions::Tiles,
            Precision::Bf16 => Instructions::Dot,
        };
        match instructions {
            // SAFETY: the unit is available, as has just been checked.
            Instructions::Tiles => unsafe { amx::platform::configure(16) },
            Instructions::Dot => {
                assert!(dot::available(), "the processor cannot multiply bf16 matrices");
            }
            Instructions::Fma => {}
        }
        Self { instructions, elements: PhantomData, not_send: PhantomData }
    }

    /// Vector instructions, even where there are tiles.
    #[cfg(test)]
    fn vectors() -> Self {
        assert!(dot::available(), "the processor has no bf16 vector instructions");
        let instructions = Instructions::Dot;
        Self { instructions, elements: PhantomData, not_send: PhantomData }
    }

    /// `output = a b`, or `output += a b`, where `a` has a strip for each 16 rows of the output, `b`
    /// one for each 16 columns, both an even number of them.
    ///
    /// Asks the caches for each block one block early, or else the stores, which are spread over
    /// many lines, wait for memory. After the last block that concerns what follows the output,
    /// where callers that go through a matrix by rows write next.
    pub(crate) fn multiply(&self, a: Strips<'_>, b: Strips<'_>, output: Output<'_>, write: Write) {
        let Output { data, rows, cols, stride } = output;
        assert!(a.steps > 0 && a.steps == b.steps, "operands of different depth");
        assert!(a.covers(rows) && b.covers(cols), "an operand has too few strips");
        assert!(stride >= cols && (rows - 1) * stride + cols <= data.len(), "output too short");
        for row in (0..rows).step_by(BLOCK) {
            let a = a.pair(row / BLOCK);
            for col in (0..cols).step_by(BLOCK) {
                let start = row * stride + col;
                let next = if col + BLOCK < cols { start + BLOCK } else { start + BLOCK * stride };
                amx::platform::prefetch_block(data.as_ptr().wrapping_add(next), stride);
                let b = b.pair(col / BLOCK);
                if row + BLOCK <= rows && col + BLOCK <= cols {
                    self.multiply_block(a, b, &mut data[start..], stride, write);
                } else {
                    let (height, width) = (BLOCK.min(rows - row), BLOCK.min(cols - col));
                    let mut block = EdgeBlock([0.0; BLOCK * BLOCK]);
                    let valid = data[start..].chunks_mut(stride).take(height);
                    let lines = block.0.chunks_exact_mut(BLOCK);
                    if write == Write::Add {
                        for (from, to) in valid.zip(lines) {
                            to[..width].copy_from_slice(&from[..width]);
                        }
                    }
                    self.multiply_block(a, b, &mut block.0, BLOCK, write);
                    let valid = data[start..].chunks_mut(stride).take(height);
                    for (to, from) in valid.zip(block.0.chunks_exact(BLOCK)) {
                        to[..width].copy_from_slice(&from[..width]);
                    }
                }
            }
        }
    }

    /// One block: two strips of each operand, and 32 rows of 32 values, `stride` apart.
    #[inline(always)]
    fn multiply_block(
        &self,
        a: Strips<'_>,
        b: Strips<'_>,
        output: &mut [f32],
        stride: usize,
        write: Write,
    ) {
        let steps = a.steps;
        assert!(steps > 0 && b.steps == steps && a.covers(BLOCK) && b.covers(BLOCK));
        assert!(stride >= BLOCK && output.len() >= (BLOCK - 1) * stride + BLOCK);
        let ([a0, a1], [b0, b1]) = (a.pointers(), b.pointers());
        let add = write == Write::Add;
        let (a, b, output) = ([a0, a1], [b0, b1], output.as_mut_ptr());
        // SAFETY: `self` proves that the unit is configured on this thread, or that there are the
        // vector instructions; the lengths have just been checked; `output` is exclusively borrowed.
        unsafe {
            match self.instructions {
                Instructions::Tiles => {
                    amx::platform::multiply_block(a, b, steps, output, stride, add);
                }
                Instructions::Dot => dot::multiply_block(a, b, steps, output, stride, add),
                Instructions::Fma => fma::multiply_block(a, b, steps, output, stride, add),
            }
        }
    }
}

/// Strips of tiles, of which a product uses some successive steps of the inner dimension.
#[derive(Clone, Copy)]
pub(crate) struct Strips<'a> {
    tiles: &'a [Tile],
    /// Tiles from one strip to the next.
    depth: usize,
    first: usize,
    steps: usize,
}

impl<'a> Strips<'a> {
    /// Strips of `depth` tiles each, all of which are used.
    pub(crate) fn new(tiles: &'a [Tile], depth: usize) -> Self {
        Self { tiles, depth, first: 0, steps: depth }
    }

    /// The same strips with only `steps` tiles of each, from tile `first`.
    pub(crate) fn steps(self, first: usize, steps: usize) -> Self {
        assert!(first + steps <= self.depth, "a strip has {} tiles", self.depth);
        Self { first, steps, ..self }
    }

    /// The strips from the one that begins at row or column `outer`, a multiple of 32.
    pub(crate) fn starting_at(self, outer: usize) -> Self {
        assert!(outer.is_multiple_of(BLOCK), "strips come in pairs");
        Self { tiles: &self.tiles[2 * self.depth * (outer / BLOCK)..], ..self }
    }

    /// Whether there are strips for `outer` rows or columns.
    fn covers(&self, outer: usize) -> bool {
        outer > 0 && self.tiles.len() >= 2 * self.depth * outer.div_ceil(BLOCK)
    }

    /// The strips of 32 rows or columns.
    fn pair(self, index: usize) -> Self {
        Self { tiles: &self.tiles[2 * self.depth * index..2 * self.depth * (index + 1)], ..self }
    }

    /// Where the first two strips begin.
    fn pointers(&self) -> [*const Tile; 2] {
        [self.first, self.depth + self.first].map(|first| self.tiles[first..].as_ptr())
    }
}

/// Where a product goes: `rows` of `cols` values, `stride` apart.
pub(crate) struct Output<'a> {
    pub(crate) data: &'a mut [f32],
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    pub(crate) stride: usize,
}

impl<'a> Output<'a> {
    /// Rows without gaps.
    pub(crate) fn dense(data: &'a mut [f32], cols: usize) -> Self {
        let rows = data.len() / cols;
        assert_eq!(rows * cols, data.len(), "ragged rows");
        Self { data, rows, cols, stride: cols }
    }
}

impl<E> Drop for Unit<E> {
    fn drop(&mut self) {
        if self.instructions == Instructions::Tiles {
            // SAFETY: the unit is available, as `configure` found.
            unsafe { amx::platform::release() };
        }
    }
}

/// Where a block goes that does not lie wholly inside the output.
#[repr(align(64))]
struct EdgeBlock([f32; BLOCK * BLOCK]);

#[cfg(test)]
mod tests {
    use super::super::element::Bf16;
    use super::super::pack;
    use super::*;

    #[test]
    fn vectors_stand_in_for_tiles() {
        if !amx::available() || !dot::available() {
            return;
        }
        let values = |len: usize, salt: usize| -> Vec<f32> {
            (0..len).map(|i| ((i * 7919 + salt) as f32 * 0.618).sin()).collect()
        };
        for (rows, inner, cols) in [(1, 1, 1), (33, 70, 47), (64, 128, 96)] {
            let mut a = pack::unfilled_tiles(pack::tiles::<Bf16>(rows, inner));
            pack::rows::<Bf16>(&mut a, &values(rows * inner, 1), inner, inner);
            let mut b = pack::unfilled_tiles(pack::tiles::<Bf16>(cols, inner));
            pack::rows_transposed::<Bf16>(&mut b, &values(cols * inner, 2), inner, inner);
            for write in [Write::Replace, Write::Add] {
                let product = |unit: Unit<Bf16>| {
                    let mut output = values(rows * cols, 3);
                    let depth = pack::depth::<Bf16>(inner);
                    let (a, b) = (Strips::new(&a, depth), Strips::new(&b, depth));
                    unit.multiply(a, b, Output::dense(&mut output, cols), write);
                    output
                };
                let (tiles, vectors) =
                    (product(Unit::<Bf16>::configure()), product(Unit::<Bf16>::vectors()));
                for (tile, vector) in tiles.iter().zip(&vectors) {
                    assert!((tile - vector).abs() < 1e-4, "{tile} by tiles, {vector} by vectors");
                }
            }
        }
    }
}
