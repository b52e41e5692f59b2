//! Softmax over the rows of a block of scores, and its gradient.

use crate::cpu::lanes::{LANES, dot, exp_scaled_in_place, max, with_lanes};
use crate::cpu::simd::vectorised;

/// A block of scores: successive queries in rows of `stride` values, a multiple of [`LANES`].
#[derive(Clone, Copy)]
pub(super) struct Block {
    /// Position of the first query.
    pub(super) first: usize,
    /// Keys that any of the queries sees.
    pub(super) visible: usize,
    pub(super) stride: usize,
    /// Whether a query sees only the keys up to itself.
    pub(super) causal: bool,
    /// Keys up to itself that a query sees at most.
    pub(super) window: Option<usize>,
    /// Factor on the scores.
    pub(super) scale: f32,
}

with_lanes! {
    /// Softmax of the scaled scores over the visible keys of each row; the rest of a row becomes 0.
    pub(super) fn softmax<V>(scores: &mut [f32], block: Block) {
        for (query, row) in scores.chunks_exact_mut(block.stride).enumerate() {
            let end = block.first + query + 1;
            let visible = if block.causal { end.min(block.visible) } else { block.visible };
            // Whole vectors: hidden keys among them add e^-87 each to the sum, nothing in f32.
            let padded = visible.next_multiple_of(LANES);
            row[visible..padded].fill(f32::NEG_INFINITY);
            let hidden = block.window.map_or(0, |window| end.saturating_sub(window));
            // Queries of padding at the end of a block may lie beyond every key.
            let hidden = hidden.min(visible.saturating_sub(1));
            row[..hidden].fill(f32::NEG_INFINITY);
            let largest = max::<V>(&row[..padded]);
            let scale = 1.0 / exp_scaled_in_place::<V>(&mut row[..padded], largest, block.scale);
            for value in row[..padded].iter_mut() {
                *value *= scale;
            }
            row[visible..].fill(0.0);
            row[..hidden].fill(0.0);
        }
    }
}

with_lanes! {
    /// `p * (dp - sum(p dp)) * scale`, row by row, into `grad` (which holds `dp`).
    pub(super) fn softmax_gradient<V>(grad: &mut [f32], probabilities: &[f32], block: Block) {
        let rows = grad.chunks_exact_mut(block.stride);
        for (grad, p) in rows.zip(probabilities.chunks_exact(block.stride)) {
            grad[block.visible..].fill(0.0);
            let padded = block.visible.next_multiple_of(LANES);
            let (grad, p) = (&mut grad[..padded], &p[..padded]);
            let inner = dot::<V>(grad, p);
            for (grad, p) in grad.iter_mut().zip(p) {
                *grad = p * (*grad - inner) * block.scale;
            }
        }
    }
}

vectorised! {
    /// `scores * scale + bias`.
    pub(crate) fn add_bias(scores: &mut [f32], bias: &[f32], scale: f32) {
        for (score, bias) in scores.iter_mut().zip(bias) {
            *score = *score * scale + bias;
        }
    }
}

vectorised! {
    /// Adds `grad` to `grad_bias` and scales it.
    pub(super) fn split_gradient(grad: &mut [f32], grad_bias: &mut [f32], scale: f32) {
        for (grad, bias) in grad.iter_mut().zip(grad_bias) {
            *bias += *grad;
            *grad *= scale;
        }
    }
}
