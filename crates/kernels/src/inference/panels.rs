//! Weights in panels of 32 outputs, stored in f32 or bf16, and their product with rows of
//! activations, in f32 whatever the storage.

use super::stored::Row;
use crate::cpu::buffer::AnyBits;
use crate::cpu::lanes::{LANES, Lanes, with_lanes};
use half::bf16;

/// Outputs of a panel.
pub(super) const PANEL: usize = 2 * LANES;

/// Rows that the micro-kernel multiplies at once, as the registers allow.
pub(super) const ROWS: usize = 12;

/// How far ahead of the sum a panel is asked for, in values.
const AHEAD: usize = 32 * PANEL;

/// How a panel holds a weight.
pub(super) trait Storage: AnyBits + Copy + Send + Sync {
    fn load<V: Lanes>(values: &[Self; LANES]) -> V;
    fn from_f32(value: f32) -> Self;
    fn from_bf16(value: bf16) -> Self;
    fn to_f32(self) -> f32;
}

impl Storage for f32 {
    #[inline(always)]
    fn load<V: Lanes>(values: &[Self; LANES]) -> V {
        V::load(values)
    }

    fn from_f32(value: f32) -> Self {
        value
    }

    fn from_bf16(value: bf16) -> Self {
        value.to_f32()
    }

    fn to_f32(self) -> f32 {
        self
    }
}

/// A bf16 value by its bits.
#[derive(Clone, Copy)]
pub(super) struct Bits(u16);

// SAFETY: a number by its bits.
unsafe impl AnyBits for Bits {}

impl Storage for Bits {
    #[inline(always)]
    fn load<V: Lanes>(values: &[Self; LANES]) -> V {
        V::load_bf16(&values.map(|value| value.0))
    }

    fn from_f32(value: f32) -> Self {
        Self(bf16::from_f32(value).to_bits())
    }

    fn from_bf16(value: bf16) -> Self {
        Self(value.to_bits())
    }

    fn to_f32(self) -> f32 {
        bf16::from_bits(self.0).to_f32()
    }
}

/// Fills a panel with the rows of a weight, at most [`PANEL`] of them: the values that belong to one
/// input are neighbours. Missing and empty rows count as zero.
pub(super) fn pack<S: Storage>(panel: &mut [S], rows: &[Row<'_>]) {
    for (input, line) in panel.chunks_exact_mut(PANEL).enumerate() {
        for (output, value) in line.iter_mut().enumerate() {
            let zero = S::from_f32(0.0);
            *value = match rows.get(output) {
                Some(Row::F32(row)) => row.get(input).map_or(zero, |v| S::from_f32(*v)),
                Some(Row::Bf16(row)) => row.get(input).map_or(zero, |v| S::from_bf16(*v)),
                None => zero,
            };
        }
    }
}

with_lanes! {
    /// The products of at most [`ROWS`] rows of `x`, each of `panel.len() / PANEL` values, with
    /// the outputs of a panel, one line of `block` a row. Each is one sum in the order of inputs.
    pub(super) fn multiply<V>(block: &mut [f32], x: &[f32], panel: &[f32]) {
        multiply_stored::<V, f32>(block, x, panel);
    }
}

with_lanes! {
    /// [`multiply`] for weights in bf16.
    pub(super) fn multiply_bf16<V>(block: &mut [f32], x: &[f32], panel: &[Bits]) {
        multiply_stored::<V, Bits>(block, x, panel);
    }
}

#[inline(always)]
fn multiply_stored<V: Lanes, S: Storage>(block: &mut [f32], x: &[f32], panel: &[S]) {
    let (panel, rest) = panel.as_chunks::<PANEL>();
    assert!(rest.is_empty() && x.len() == panel.len() * (block.len() / PANEL));
    macro_rules! rows {
        ($($rows:literal)*) => {
            match block.len() / PANEL {
                $($rows => multiply_rows::<V, S, $rows>(block, x, panel),)*
                rows => panic!("{rows} rows exceed the block"),
            }
        };
    }
    rows!(1 2 3 4 5 6 7 8 9 10 11 12);
}

#[inline(always)]
fn multiply_rows<V: Lanes, S: Storage, const R: usize>(
    block: &mut [f32],
    x: &[f32],
    panel: &[[S; PANEL]],
) {
    let inputs = panel.len();
    assert!(x.len() == R * inputs);
    let mut sums = [[V::zero(); 2]; R];
    for (input, line) in panel.iter().enumerate() {
        if R <= 4 {
            V::prefetch(line.as_ptr().wrapping_add(AHEAD));
            V::prefetch(line.as_ptr().wrapping_add(AHEAD + LANES));
        }
        let line = line.as_chunks::<LANES>().0;
        let (left, right) = (S::load::<V>(&line[0]), S::load::<V>(&line[1]));
        for (row, sums) in sums.iter_mut().enumerate() {
            // SAFETY: `row` < R and `input` < `inputs`; the length has been checked.
            let factor = unsafe { *x.get_unchecked(row * inputs + input) };
            sums[0] = sums[0].add_product(factor, left);
            sums[1] = sums[1].add_product(factor, right);
        }
    }
    for (sums, line) in sums.into_iter().zip(block.as_chunks_mut::<LANES>().0.chunks_exact_mut(2)) {
        sums[0].store(&mut line[0]);
        sums[1].store(&mut line[1]);
    }
}
