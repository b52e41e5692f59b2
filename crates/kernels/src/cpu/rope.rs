//! Rotary position embedding in the half-split layout (Su et al. 2021; "rotate_half").

use super::lanes::{LANES, Lanes, with_lanes};

with_lanes! {
    /// Copies one head's rows out of `source` (rows `stride` apart) into `output` (contiguous rows
    /// of `2 * half` values), rotated by the angles of their positions.
    ///
    /// `cos`, `sin`: rows of `half` values, one a position.
    pub(crate) fn rotate_rows<V>(
        output: &mut [f32],
        source: &[f32],
        stride: usize,
        cos: &[f32],
        sin: &[f32],
        half: usize,
    ) {
        let count = output.len() / (2 * half);
        assert!(cos.len() >= count * half && sin.len() >= count * half, "too few angles");
        assert!(source.len() >= count.saturating_sub(1) * stride + 2 * half, "too few rows");
        let angles = cos.chunks_exact(half).zip(sin.chunks_exact(half));
        let rows = output.chunks_exact_mut(2 * half).zip(source.chunks(stride));
        for ((to, from), angles) in rows.zip(angles) {
            let (first, second) = from[..2 * half].split_at(half);
            rotate::<V, true>(to.split_at_mut(half), (first, second), angles);
        }
    }
}

with_lanes! {
    /// The transpose of [`rotate_rows`]: takes gradients of rotated rows back and writes them into
    /// rows of `output` that stand `stride` apart.
    pub(crate) fn rotate_rows_back<V>(
        output: &mut [f32],
        stride: usize,
        source: &[f32],
        cos: &[f32],
        sin: &[f32],
        half: usize,
    ) {
        let count = source.len() / (2 * half);
        assert!(cos.len() >= count * half && sin.len() >= count * half, "too few angles");
        assert!(output.len() >= count.saturating_sub(1) * stride + 2 * half, "too few rows");
        let angles = cos.chunks_exact(half).zip(sin.chunks_exact(half));
        let rows = output.chunks_mut(stride).zip(source.chunks_exact(2 * half));
        for ((to, from), angles) in rows.zip(angles) {
            let to = to[..2 * half].split_at_mut(half);
            rotate::<V, false>(to, from.split_at(half), angles);
        }
    }
}

/// Rotates pairs by their angles, or back.
#[inline(always)]
fn rotate<V: Lanes, const FORWARD: bool>(
    to: (&mut [f32], &mut [f32]),
    from: (&[f32], &[f32]),
    (cos, sin): (&[f32], &[f32]),
) {
    let (to_first, first_rest) = to.0.as_chunks_mut::<LANES>();
    let (to_second, second_rest) = to.1.as_chunks_mut::<LANES>();
    let (first, second) = (from.0.as_chunks::<LANES>(), from.1.as_chunks::<LANES>());
    let (cos, sin) = (cos.as_chunks::<LANES>(), sin.as_chunks::<LANES>());
    let angles = cos.0.iter().zip(sin.0);
    let pairs = first.0.iter().zip(second.0);
    for (to, (from, angle)) in to_first.iter_mut().zip(to_second).zip(pairs.zip(angles)) {
        let (first, second) = (V::load(from.0), V::load(from.1));
        let (cos, sin) = (V::load(angle.0), V::load(angle.1));
        let (along, across) = (first.multiply(cos), second.multiply(sin));
        let (up, down) = (second.multiply(cos), first.multiply(sin));
        let turned = match FORWARD {
            true => (along.subtract(across), up.add(down)),
            false => (along.add(across), up.subtract(down)),
        };
        turned.0.store(to.0);
        turned.1.store(to.1);
    }
    let angles = cos.1.iter().zip(sin.1);
    let pairs = first.1.iter().zip(second.1);
    for (to, (from, angle)) in first_rest.iter_mut().zip(second_rest).zip(pairs.zip(angles)) {
        let sin = if FORWARD { *angle.1 } else { -*angle.1 };
        *to.0 = from.0 * angle.0 - from.1 * sin;
        *to.1 = from.1 * angle.0 + from.0 * sin;
    }
}
