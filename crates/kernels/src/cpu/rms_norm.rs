//! `y = x / sqrt(mean(x^2) + eps) * w` (Zhang & Sennrich 2019) and its gradient.

use super::buffer::unfilled;
use super::lanes::{LANES, Lanes, dot, with_lanes};
use super::partial::sum;
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

with_lanes! {
    pub(crate) fn forward_rows<V>(y: &mut [f32], x: &[f32], weight: &[f32], eps: f32) {
        let width = weight.len();
        for (y, x) in y.chunks_exact_mut(width).zip(x.chunks_exact(width)) {
            let scale = 1.0 / (dot::<V>(x, x) / width as f32 + eps).sqrt();
            let (chunks, rest) = y.as_chunks_mut::<LANES>();
            let (x, w) = (x.as_chunks::<LANES>(), weight.as_chunks::<LANES>());
            for ((y, x), w) in chunks.iter_mut().zip(x.0).zip(w.0) {
                V::load(x).multiply(V::splat(scale)).multiply(V::load(w)).store(y);
            }
            for ((y, x), w) in rest.iter_mut().zip(x.1).zip(w.1) {
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
            let mut grad_weight = vec![0.0; width];
            backward_rows(grad_x, &mut grad_weight, x, weight, grad, eps);
            grad_weight
        })
        .collect();
    let grad_weight = want_weight.then(|| sum(&partials, width));
    (grad_x, grad_weight)
}

with_lanes! {
    /// Adds to `grad_weight`.
    pub(super) fn backward_rows<V>(
        grad_x: &mut [f32],
        grad_weight: &mut [f32],
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
            let scale = 1.0 / (dot::<V>(x, x) / width as f32 + eps).sqrt();
            let sum = weighted_dot::<V>(weight, grad, x);
            let coefficient = sum * scale * scale * scale / width as f32;
            let (to_x, x_rest) = grad_x.as_chunks_mut::<LANES>();
            let (to_weight, weight_rest) = grad_weight.as_chunks_mut::<LANES>();
            let (x, w) = (x.as_chunks::<LANES>(), weight.as_chunks::<LANES>());
            let g = grad.as_chunks::<LANES>();
            let outputs = to_x.iter_mut().zip(to_weight);
            for ((to_x, to_weight), ((x, w), g)) in outputs.zip(x.0.iter().zip(w.0).zip(g.0)) {
                let (x, w, g, scale) = (V::load(x), V::load(w), V::load(g), V::splat(scale));
                let along = x.multiply(V::splat(coefficient));
                w.multiply(g).multiply(scale).subtract(along).store(to_x);
                V::load(to_weight).add(g.multiply(x).multiply(scale)).store(to_weight);
            }
            let outputs = x_rest.iter_mut().zip(weight_rest);
            for ((to_x, to_weight), ((x, w), g)) in outputs.zip(x.1.iter().zip(w.1).zip(g.1)) {
                *to_x = w * g * scale - x * coefficient;
                *to_weight += g * x * scale;
            }
        }
    }
}

/// `sum(weight * grad * x)`, added up as [`dot`] does.
#[inline(always)]
fn weighted_dot<V: Lanes>(weight: &[f32], grad: &[f32], x: &[f32]) -> f32 {
    let (weight, grad) = (weight.as_chunks::<LANES>(), grad.as_chunks::<LANES>());
    let x = x.as_chunks::<LANES>();
    let mut sums = V::zero();
    for ((w, g), x) in weight.0.iter().zip(grad.0).zip(x.0) {
        sums = sums.add_products(V::load(w).multiply(V::load(g)), V::load(x));
    }
    let rest = weight.1.iter().zip(grad.1).zip(x.1);
    rest.fold(sums.sum(), |sum, ((w, g), x)| (w * g).mul_add(*x, sum))
}
