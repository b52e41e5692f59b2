//! Operations on rows.

use super::parallel::{self, Scattered};
use crate::attention::RotaryTable;
use crate::cpu::rms_norm::forward_rows;
use crate::cpu::simd::{LANES, dot, exp, max, sum_lanes, vectorised};

/// RMSNorm of rows of `weight.len()` values, as [`crate::rms_norm`].
///
/// # Panics
/// If `x` is not made of whole rows, or `y` has another length.
pub fn rms_norm_rows(y: &mut [f32], x: &[f32], weight: &[f32], eps: f32) {
    let width = weight.len();
    assert!(width > 0 && x.len().is_multiple_of(width) && x.len() == y.len(), "ragged rows");
    let y = Scattered::new(y);
    parallel::ranges(x.len() / width, x.len(), |rows| {
        let range = rows.start * width..rows.end * width;
        // SAFETY: the ranges of rows do not overlap.
        let y = unsafe { y.get(range.clone()) };
        forward_rows(y, &x[range], weight, eps);
    });
}

vectorised! {
    /// RMSNorm of each head of `weight.len()` values, in place.
    pub fn normalise_heads(heads: &mut [f32], weight: &[f32], eps: f32) {
        let width = weight.len();
        for head in heads.chunks_exact_mut(width) {
            let scale = 1.0 / (dot(head, head) / width as f32 + eps).sqrt();
            for (value, w) in head.iter_mut().zip(weight) {
                *value = *value * scale * w;
            }
        }
    }
}

/// Rotates heads of the table's width, all of the token at `position`, in place.
///
/// # Panics
/// If the table does not cover the position, or `heads` is not made of whole heads.
pub fn rotate(heads: &mut [f32], table: &RotaryTable, position: usize) {
    let half = table.head_dim() / 2;
    assert!(heads.len().is_multiple_of(2 * half), "ragged heads");
    let angles = position * half..(position + 1) * half;
    rotate_heads(heads, &table.cos[angles.clone()], &table.sin[angles]);
}

vectorised! {
    fn rotate_heads(heads: &mut [f32], cos: &[f32], sin: &[f32]) {
        let half = cos.len();
        for head in heads.chunks_exact_mut(2 * half) {
            let (first, second) = head.split_at_mut(half);
            for (((first, second), cos), sin) in
                first.iter_mut().zip(second.iter_mut()).zip(cos).zip(sin)
            {
                let (a, b) = (*first, *second);
                *first = a * cos - b * sin;
                *second = b * cos + a * sin;
            }
        }
    }
}

vectorised! {
    /// The largest value, NaN passed over; `-inf` if there is none.
    pub fn largest(values: &[f32]) -> f32 {
        max(values)
    }
}

vectorised! {
    /// The sum of `exp((value - shift) * scale)` over each `chunk` values, one entry of `sums` a
    /// chunk. Terms are exact to about 1e-7; exponents below -87 count as -87.
    pub fn sums_of_exp(sums: &mut [f32], values: &[f32], chunk: usize, shift: f32, scale: f32) {
        for (sum, values) in sums.iter_mut().zip(values.chunks(chunk)) {
            let mut lanes = [0.0f32; LANES];
            let chunks = values.as_chunks::<LANES>();
            for chunk in chunks.0 {
                for lane in 0..LANES {
                    lanes[lane] += exp((chunk[lane] - shift) * scale);
                }
            }
            *sum = sum_lanes(&lanes);
            for value in chunks.1 {
                *sum += exp((value - shift) * scale);
            }
        }
    }
}
