//! `y = x / sqrt(mean(x^2) + eps) * w` (Zhang & Sennrich 2019) and its gradient.

use super::buffer::unfilled;
use super::partial::sum;
use super::simd::{dot, vectorised};
use rayon::prelude::*;

/// Rows handled by one task. Partial weight gradients are one a task and summed in task order, so
/// this constant, not the thread count, fixes the order of the sum.
pub(super) const ROWS: usize = 128;

/// Whole rows, so that every output is written.
fn check(x: &[f32], weight: &[f32]) {
    assert!(!weight.is_empty() && x.len().is_multiple_of(weight.len()), "ragged rows");
}

/// `x`: rows of `weight.len()` values.
pub(crate) fn forward(x: &[f32], weight: &[f32], eps: f32) -> Vec<f32> {
    check(x, weight);
    let mut y = unfilled(x.len());
    let chunk = ROWS * weight.len();
    y.par_chunks_mut(chunk)
        .zip(x.par_chunks(chunk))
        .for_each(|(y, x)| forward_rows(y, x, weight, eps));
    y
}

vectorised! {
    pub(crate) fn forward_rows(y: &mut [f32], x: &[f32], weight: &[f32], eps: f32) {
        let width = weight.len();
        for (y, x) in y.chunks_exact_mut(width).zip(x.chunks_exact(width)) {
            let scale = 1.0 / (dot(x, x) / width as f32 + eps).sqrt();
            for ((y, x), w) in y.iter_mut().zip(x).zip(weight) {
                *y = x * scale * w;
            }
        }
    }
}

/// Gradients for `x` and, when asked for, `weight`.
pub(crate) fn backward(
    x: &[f32],
    weight: &[f32],
    grad: &[f32],
    eps: f32,
    want_weight: bool,
) -> (Vec<f32>, Option<Vec<f32>>) {
    check(x, weight);
    assert_eq!(x.len(), grad.len(), "input and gradient");
    let width = weight.len();
    let chunk = ROWS * width;
    let mut grad_x = unfilled(x.len());
    let partials: Vec<Vec<f32>> = grad_x
        .par_chunks_mut(chunk)
        .zip(x.par_chunks(chunk))
        .zip(grad.par_chunks(chunk))
        .map(|((grad_x, x), grad)| {
            let (mut grad_weight, mut weighted) = (vec![0.0; width], vec![0.0; width]);
            backward_rows(grad_x, &mut grad_weight, &mut weighted, x, weight, grad, eps);
            grad_weight
        })
        .collect();
    let grad_weight = want_weight.then(|| sum(&partials, width));
    (grad_x, grad_weight)
}

vectorised! {
    /// Adds to `grad_weight`; `weighted` is scratch space of a row.
    pub(super) fn backward_rows(
        grad_x: &mut [f32],
        grad_weight: &mut [f32],
        weighted: &mut [f32],
        x: &[f32],
        weight: &[f32],
        grad: &[f32],
        eps: f32,
    ) {
        let width = weight.len();
        for ((grad_x, x), grad) in grad_x
            .chunks_exact_mut(width)
            .zip(x.chunks_exact(width))
            .zip(grad.chunks_exact(width))
        {
            let scale = 1.0 / (dot(x, x) / width as f32 + eps).sqrt();
            for ((weighted, w), g) in weighted.iter_mut().zip(weight).zip(grad) {
                *weighted = w * g;
            }
            let coefficient = dot(weighted, x) * scale * scale * scale / width as f32;
            for ((grad_x, weighted), x) in grad_x.iter_mut().zip(&*weighted).zip(x) {
                *grad_x = weighted * scale - x * coefficient;
            }
            for ((grad_weight, g), x) in grad_weight.iter_mut().zip(grad).zip(x) {
                *grad_weight += g * x * scale;
            }
        }
    }
}
