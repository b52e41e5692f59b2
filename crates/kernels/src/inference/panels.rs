//! f32 weights in panels of 32 outputs, and their product with rows of activations.

use super::lanes::{LANES, Lanes, with_lanes};

/// Outputs of a panel.
pub(super) const PANEL: usize = 2 * LANES;

/// Rows that the micro-kernel multiplies at once, as the registers allow.
pub(super) const ROWS: usize = 12;

/// How far ahead of the sum a panel is asked for, in values.
const AHEAD: usize = 32 * PANEL;

/// Packs the rows of a weight, at most [`PANEL`] of them, each of `panel.len() / PANEL` values:
/// the values that belong to one input are neighbours. Missing and empty rows count as zero.
pub(super) fn pack(panel: &mut [f32], rows: &[&[f32]]) {
    for (input, line) in panel.chunks_exact_mut(PANEL).enumerate() {
        for (output, value) in line.iter_mut().enumerate() {
            *value = rows.get(output).and_then(|row| row.get(input)).copied().unwrap_or(0.0);
        }
    }
}

with_lanes! {
    /// The products of at most [`ROWS`] rows of `x`, each of `panel.len() / PANEL` values, with
    /// the outputs of a panel, one line of `block` a row. Each is one sum in the order of inputs.
    pub(super) fn multiply<V>(block: &mut [f32], x: &[f32], panel: &[f32]) {
        let (panel, rest) = panel.as_chunks::<PANEL>();
        assert!(rest.is_empty() && x.len() == panel.len() * (block.len() / PANEL));
        macro_rules! rows {
            ($($rows:literal)*) => {
                match block.len() / PANEL {
                    $($rows => multiply_rows::<V, $rows>(block, x, panel),)*
                    rows => panic!("{rows} rows exceed the block"),
                }
            };
        }
        rows!(1 2 3 4 5 6 7 8 9 10 11 12);
    }
}

#[inline(always)]
fn multiply_rows<V: Lanes, const R: usize>(block: &mut [f32], x: &[f32], panel: &[[f32; PANEL]]) {
    let inputs = panel.len();
    assert!(x.len() == R * inputs);
    let mut sums = [[V::zero(); 2]; R];
    for (input, line) in panel.iter().enumerate() {
        if R <= 4 {
            V::prefetch(line.as_ptr().wrapping_add(AHEAD));
            V::prefetch(line.as_ptr().wrapping_add(AHEAD + LANES));
        }
        let line = line.as_chunks::<LANES>().0;
        let (left, right) = (V::load(&line[0]), V::load(&line[1]));
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
