//! What happens to a block of products on its way to the output.

use super::packed_linear::Epilogue;
use super::panels::PANEL;
use super::parallel::Scattered;
use crate::activation::Activation;
use crate::cpu::activation::{Function, with_function};
use crate::cpu::simd::vectorised;
use std::ops::Range;

/// A block of the output: `rows`, and `cols` of them, at most [`PANEL`].
pub(super) struct Place {
    pub(super) rows: Range<usize>,
    pub(super) cols: Range<usize>,
    /// Values a row of the whole output.
    pub(super) stride: usize,
}

/// Finishes `block`, lines of [`PANEL`] sums, and puts it into its place.
///
/// # Safety
/// No other thread may use the place.
pub(super) unsafe fn finish(
    output: &Scattered<'_>,
    place: &Place,
    block: &[f32],
    epilogue: Epilogue<'_>,
) {
    match epilogue {
        Epilogue::Store => stored(output, place, block),
        Epilogue::Bias(bias) => biased(output, place, block, &bias[place.cols.clone()]),
        Epilogue::Add => added(output, place, block),
        Epilogue::Activation(activation) => activated(output, place, block, activation),
        Epilogue::Gated(activation) => gated(output, place, block, activation),
    }
}

/// Calls `line` with each row of the place and its sums. Rows of a whole panel, `WIDTH` values,
/// have a length that the compiler knows.
///
/// For [`finish`] only, whose callers promise that no other thread uses the place.
#[inline(always)]
fn lines<const WIDTH: usize>(
    output: &Scattered<'_>,
    place: &Place,
    block: &[f32],
    line: impl Fn(&mut [f32], &[f32; PANEL]),
) {
    for (row, sums) in place.rows.clone().zip(block.as_chunks::<PANEL>().0) {
        let start = row * place.stride;
        // SAFETY: see above; slices of different rows do not overlap.
        let to = unsafe { output.get(start + place.cols.start..start + place.cols.end) };
        match to.first_chunk_mut::<WIDTH>() {
            Some(to) => line(to, sums),
            None => line(to, sums),
        }
    }
}

vectorised! {
    fn stored(output: &Scattered<'_>, place: &Place, block: &[f32]) {
        lines::<PANEL>(output, place, block, #[inline(always)] |to, sums| {
            for (to, sum) in to.iter_mut().zip(sums) {
                *to = *sum;
            }
        });
    }
}

vectorised! {
    fn biased(output: &Scattered<'_>, place: &Place, block: &[f32], bias: &[f32]) {
        lines::<PANEL>(output, place, block, #[inline(always)] |to, sums| {
            for ((to, sum), bias) in to.iter_mut().zip(sums).zip(bias) {
                *to = sum + bias;
            }
        });
    }
}

vectorised! {
    fn added(output: &Scattered<'_>, place: &Place, block: &[f32]) {
        lines::<PANEL>(output, place, block, #[inline(always)] |to, sums| {
            for (to, sum) in to.iter_mut().zip(sums) {
                *to += sum;
            }
        });
    }
}

vectorised! {
    fn activated(output: &Scattered<'_>, place: &Place, block: &[f32], activation: Activation) {
        with_function!(activation, F => activated_with::<F>(output, place, block));
    }
}

#[inline(always)]
fn activated_with<F: Function>(output: &Scattered<'_>, place: &Place, block: &[f32]) {
    lines::<PANEL>(
        output,
        place,
        block,
        #[inline(always)]
        |to, sums| {
            for (to, sum) in to.iter_mut().zip(sums) {
                *to = F::value(*sum);
            }
        },
    );
}

vectorised! {
    /// The first half of the sums are gates, the second what they let through.
    fn gated(output: &Scattered<'_>, place: &Place, block: &[f32], activation: Activation) {
        with_function!(activation, F => gated_with::<F>(output, place, block));
    }
}

#[inline(always)]
fn gated_with<F: Function>(output: &Scattered<'_>, place: &Place, block: &[f32]) {
    lines::<{ PANEL / 2 }>(
        output,
        place,
        block,
        #[inline(always)]
        |to, sums| {
            let (gates, ups) = sums.split_at(PANEL / 2);
            for ((to, gate), up) in to.iter_mut().zip(gates).zip(ups) {
                *to = F::value(*gate) * up;
            }
        },
    );
}
