//! Operations on rows.

use super::parallel::{self, Scattered};
use crate::attention::RotaryTable;
use crate::cpu::lanes::{LANES, Lanes, dot, max, with_lanes};
use crate::cpu::rms_norm::forward_rows;
use crate::cpu::simd::exp;

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

with_lanes! {
    /// RMSNorm of each head of `weight.len()` values, in place.
    pub fn normalise_heads<V>(heads: &mut [f32], weight: &[f32], eps: f32) {
        let width = weight.len();
        for head in heads.chunks_exact_mut(width) {
            let scale = 1.0 / (dot::<V>(head, head) / width as f32 + eps).sqrt();
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

with_lanes! {
    fn rotate_heads<V>(heads: &mut [f32], cos: &[f32], sin: &[f32]) {
        for head in heads.chunks_exact_mut(2 * cos.len()) {
            let (first, second) = head.split_at_mut(cos.len());
            rotate_in_place::<V>(first, second, cos, sin);
        }
    }
}

/// Rotates the pairs of a head, one of each half.
#[inline(always)]
fn rotate_in_place<V: Lanes>(first: &mut [f32], second: &mut [f32], cos: &[f32], sin: &[f32]) {
    let (firsts, first_rest) = first.as_chunks_mut::<LANES>();
    let (seconds, second_rest) = second.as_chunks_mut::<LANES>();
    let (cos, sin) = (cos.as_chunks::<LANES>(), sin.as_chunks::<LANES>());
    for ((first, second), (cos, sin)) in firsts.iter_mut().zip(seconds).zip(cos.0.iter().zip(sin.0))
    {
        let (a, b, cos, sin) = (V::load(first), V::load(second), V::load(cos), V::load(sin));
        a.multiply(cos).subtract(b.multiply(sin)).store(first);
        b.multiply(cos).add(a.multiply(sin)).store(second);
    }
    let rest = first_rest.iter_mut().zip(second_rest);
    for ((first, second), (cos, sin)) in rest.zip(cos.1.iter().zip(sin.1)) {
        let (a, b) = (*first, *second);
        *first = a * cos - b * sin;
        *second = b * cos + a * sin;
    }
}

with_lanes! {
    /// The largest value, NaN passed over; `-inf` if there is none.
    pub fn largest<V>(values: &[f32]) -> f32 {
        max::<V>(values)
    }
}

with_lanes! {
    /// The sum of `exp((value - shift) * scale)` over each `chunk` values, one entry of `sums` a
    /// chunk. Terms are exact to about 1e-7; exponents below -87 count as -87.
    pub fn sums_of_exp<V>(sums: &mut [f32], values: &[f32], chunk: usize, shift: f32, scale: f32) {
        for (sum, values) in sums.iter_mut().zip(values.chunks(chunk)) {
            let (chunks, rest) = values.as_chunks::<LANES>();
            let mut lanes = V::zero();
            for chunk in chunks {
                let value = V::load(chunk).subtract(V::splat(shift));
                lanes = lanes.add(value.multiply(V::splat(scale)).exp());
            }
            *sum = lanes.sum();
            for value in rest {
                *sum += exp((value - shift) * scale);
            }
        }
    }
}
