//! `silu(gate) * up` (Shazeer 2020) and its gradients, one pass each.

use super::buffer::unfilled;
use super::simd::{exp, vectorised};
use rayon::prelude::*;

/// Values handled by one task.
const CHUNK: usize = 1 << 14;

pub(crate) fn forward(gate: &[f32], up: &[f32]) -> Vec<f32> {
    assert_eq!(gate.len(), up.len(), "gate and up");
    let mut y = unfilled(gate.len());
    y.par_chunks_mut(CHUNK)
        .zip(gate.par_chunks(CHUNK).zip(up.par_chunks(CHUNK)))
        .for_each(|(y, (gate, up))| forward_chunk(y, gate, up));
    y
}

vectorised! {
    fn forward_chunk(y: &mut [f32], gate: &[f32], up: &[f32]) {
        for ((y, g), u) in y.iter_mut().zip(gate).zip(up) {
            *y = g / (1.0 + exp(-g)) * u;
        }
    }
}

/// Gradients for `gate` and `up`.
pub(crate) fn backward(gate: &[f32], up: &[f32], grad: &[f32]) -> (Vec<f32>, Vec<f32>) {
    assert!(gate.len() == up.len() && gate.len() == grad.len(), "gate, up and gradient");
    let (mut grad_gate, mut grad_up) = (unfilled(gate.len()), unfilled(up.len()));
    grad_gate
        .par_chunks_mut(CHUNK)
        .zip(grad_up.par_chunks_mut(CHUNK))
        .zip(gate.par_chunks(CHUNK).zip(up.par_chunks(CHUNK)))
        .zip(grad.par_chunks(CHUNK))
        .for_each(|(((grad_gate, grad_up), (gate, up)), grad)| {
            backward_chunk(grad_gate, grad_up, gate, up, grad);
        });
    (grad_gate, grad_up)
}

vectorised! {
    fn backward_chunk(
        grad_gate: &mut [f32],
        grad_up: &mut [f32],
        gate: &[f32],
        up: &[f32],
        grad: &[f32],
    ) {
        let inputs = gate.iter().zip(up).zip(grad);
        for ((grad_gate, grad_up), ((g, u), dy)) in
            grad_gate.iter_mut().zip(grad_up.iter_mut()).zip(inputs)
        {
            let sigmoid = 1.0 / (1.0 + exp(-g));
            *grad_up = dy * g * sigmoid;
            *grad_gate = dy * u * sigmoid * (1.0 + g * (1.0 - sigmoid));
        }
    }
}
