//! RMSNorm over each query head and each key head of rows that hold queries, keys and values side by
//! side (Qwen3), and its gradients.

use super::buffer::unfilled;
use super::partial::sum;
use super::rms_norm::{ROWS, backward_rows, forward_rows};
use crate::attention::HeadLayout;
use rayon::prelude::*;

/// Gradients for the rows and the two norms.
pub(crate) struct Gradients {
    pub(crate) x: Vec<f32>,
    pub(crate) q_norm: Vec<f32>,
    pub(crate) k_norm: Vec<f32>,
}

fn check(x: &[f32], [q_norm, k_norm]: [&[f32]; 2], layout: HeadLayout) {
    assert!(x.len().is_multiple_of(layout.width()), "ragged rows");
    assert!(q_norm.len() == layout.head_dim && k_norm.len() == layout.head_dim, "norm widths");
}

/// `x`: rows of [`HeadLayout::width`] values. Values pass unchanged.
pub(crate) fn forward(x: &[f32], norms: [&[f32]; 2], layout: HeadLayout, eps: f32) -> Vec<f32> {
    check(x, norms, layout);
    let [q_norm, k_norm] = norms;
    let mut y = unfilled(x.len());
    let (width, keys, values) = (layout.width(), layout.keys(), layout.values());
    y.par_chunks_mut(ROWS * width).zip(x.par_chunks(ROWS * width)).for_each(|(y, x)| {
        for (y, x) in y.chunks_exact_mut(width).zip(x.chunks_exact(width)) {
            forward_rows(&mut y[..keys], &x[..keys], q_norm, eps);
            forward_rows(&mut y[keys..values], &x[keys..values], k_norm, eps);
            y[values..].copy_from_slice(&x[values..]);
        }
    });
    y
}

/// `grad` has the shape of `x`.
pub(crate) fn backward(
    x: &[f32],
    norms: [&[f32]; 2],
    grad: &[f32],
    layout: HeadLayout,
    eps: f32,
) -> Gradients {
    check(x, norms, layout);
    assert_eq!(x.len(), grad.len(), "input and gradient");
    let [q_norm, k_norm] = norms;
    let mut grad_x = unfilled(x.len());
    let (width, keys, values) = (layout.width(), layout.keys(), layout.values());
    let partials: Vec<[Vec<f32>; 2]> = grad_x
        .par_chunks_mut(ROWS * width)
        .zip(x.par_chunks(ROWS * width))
        .zip(grad.par_chunks(ROWS * width))
        .map(|((grad_x, x), grad)| {
            let zeros = || vec![0.0; layout.head_dim];
            let [mut grad_q_norm, mut grad_k_norm] = [zeros(), zeros()];
            let rows = grad_x.chunks_exact_mut(width).zip(x.chunks_exact(width));
            for ((grad_x, x), grad) in rows.zip(grad.chunks_exact(width)) {
                let (grad_q, rest) = grad_x.split_at_mut(keys);
                let (grad_k, grad_v) = rest.split_at_mut(values - keys);
                let (x_q, g_q) = (&x[..keys], &grad[..keys]);
                backward_rows(grad_q, &mut grad_q_norm, x_q, q_norm, g_q, eps);
                let (x_k, g_k) = (&x[keys..values], &grad[keys..values]);
                backward_rows(grad_k, &mut grad_k_norm, x_k, k_norm, g_k, eps);
                grad_v.copy_from_slice(&grad[values..]);
            }
            [grad_q_norm, grad_k_norm]
        })
        .collect();
    let (q_parts, k_parts): (Vec<_>, Vec<_>) = partials.into_iter().map(|[q, k]| (q, k)).unzip();
    let head_dim = layout.head_dim;
    Gradients { x: grad_x, q_norm: sum(&q_parts, head_dim), k_norm: sum(&k_parts, head_dim) }
}
