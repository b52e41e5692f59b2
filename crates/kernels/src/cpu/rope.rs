//! Rotary position embedding in the half-split layout (Su et al. 2021; "rotate_half").

use super::simd::vectorised;

vectorised! {
    /// Copies one head's rows out of `source` (rows `stride` apart) into `output` (contiguous rows
    /// of `2 * half` values), rotated by the angles of their positions.
    ///
    /// `cos`, `sin`: rows of `half` values, one a position.
    pub(crate) fn rotate_rows(
        output: &mut [f32],
        source: &[f32],
        stride: usize,
        cos: &[f32],
        sin: &[f32],
        half: usize,
    ) {
        for (position, row) in output.chunks_exact_mut(2 * half).enumerate() {
            let source = &source[position * stride..position * stride + 2 * half];
            let (first, second) = source.split_at(half);
            let (out_first, out_second) = row.split_at_mut(half);
            let angles = position * half..(position + 1) * half;
            let (cos, sin) = (&cos[angles.clone()], &sin[angles]);
            for i in 0..half {
                out_first[i] = first[i] * cos[i] - second[i] * sin[i];
                out_second[i] = second[i] * cos[i] + first[i] * sin[i];
            }
        }
    }
}

vectorised! {
    /// The transpose of [`rotate_rows`]: takes gradients of rotated rows back and writes them into
    /// rows of `output` that stand `stride` apart.
    pub(crate) fn rotate_rows_back(
        output: &mut [f32],
        stride: usize,
        source: &[f32],
        cos: &[f32],
        sin: &[f32],
        half: usize,
    ) {
        for (position, row) in source.chunks_exact(2 * half).enumerate() {
            let output = &mut output[position * stride..position * stride + 2 * half];
            let (first, second) = row.split_at(half);
            let (out_first, out_second) = output.split_at_mut(half);
            let angles = position * half..(position + 1) * half;
            let (cos, sin) = (&cos[angles.clone()], &sin[angles]);
            for i in 0..half {
                out_first[i] = first[i] * cos[i] + second[i] * sin[i];
                out_second[i] = second[i] * cos[i] - first[i] * sin[i];
            }
        }
    }
}
