//! `activation(gate) * up` (Shazeer 2020) and its gradients, one pass each. Gate and up stand side
//! by side in rows of `2 * inner` values.

use super::activation::{Function, with_function};
use super::buffer::unfilled;
use super::simd::vectorised;
use crate::activation::Activation;
use rayon::prelude::*;

/// Values of the output handled by one task.
const CHUNK: usize = 1 << 14;

/// Rows of a task.
fn rows(inner: usize) -> usize {
    CHUNK.div_ceil(inner)
}

/// `x`: rows of gate and up, `inner` values each.
pub(crate) fn forward(x: &[f32], inner: usize, activation: Activation) -> Vec<f32> {
    assert!(inner > 0 && x.len().is_multiple_of(2 * inner), "ragged rows");
    let mut y = unfilled(x.len() / 2);
    y.par_chunks_mut(rows(inner) * inner)
        .zip(x.par_chunks(rows(inner) * 2 * inner))
        .for_each(|(y, x)| forward_rows(y, x, inner, activation));
    y
}

vectorised! {
    fn forward_rows(y: &mut [f32], x: &[f32], inner: usize, activation: Activation) {
        with_function!(activation, F => forward_with::<F>(y, x, inner));
    }
}

#[inline(always)]
fn forward_with<F: Function>(y: &mut [f32], x: &[f32], inner: usize) {
    for (y, x) in y.chunks_exact_mut(inner).zip(x.chunks_exact(2 * inner)) {
        let (gate, up) = x.split_at(inner);
        for ((y, g), u) in y.iter_mut().zip(gate).zip(up) {
            *y = F::value(*g) * u;
        }
    }
}

/// The gradient for `x`.
pub(crate) fn backward(x: &[f32], grad: &[f32], inner: usize, activation: Activation) -> Vec<f32> {
    assert!(inner > 0 && x.len().is_multiple_of(2 * inner), "ragged rows");
    assert_eq!(x.len(), 2 * grad.len(), "input and gradient");
    let mut grad_x = unfilled(x.len());
    grad_x
        .par_chunks_mut(rows(inner) * 2 * inner)
        .zip(x.par_chunks(rows(inner) * 2 * inner))
        .zip(grad.par_chunks(rows(inner) * inner))
        .for_each(|((grad_x, x), grad)| backward_rows(grad_x, x, grad, inner, activation));
    grad_x
}

vectorised! {
    fn backward_rows(
        grad_x: &mut [f32],
        x: &[f32],
        grad: &[f32],
        inner: usize,
        activation: Activation,
    ) {
        with_function!(activation, F => backward_with::<F>(grad_x, x, grad, inner));
    }
}

#[inline(always)]
fn backward_with<F: Function>(grad_x: &mut [f32], x: &[f32], grad: &[f32], inner: usize) {
    let rows = grad_x.chunks_exact_mut(2 * inner).zip(x.chunks_exact(2 * inner));
    for ((grad_x, x), grad) in rows.zip(grad.chunks_exact(inner)) {
        let (grad_gate, grad_up) = grad_x.split_at_mut(inner);
        let (gate, up) = x.split_at(inner);
        let inputs = gate.iter().zip(up).zip(grad);
        let outputs = grad_gate.iter_mut().zip(grad_up.iter_mut());
        for ((grad_gate, grad_up), ((g, u), dy)) in outputs.zip(inputs) {
            let (value, derivative) = F::with_derivative(*g);
            *grad_up = dy * value;
            *grad_gate = dy * u * derivative;
        }
    }
}
