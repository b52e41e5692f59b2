//! Linear layers `y_i = x W_i^T` that share an input, with `W_i` of shape `[out_i, in]`, and their
//! gradients. The outputs stand side by side in one matrix, `[rows, sum of out_i]`, so that a layer
//! reads its input once for queries, keys and values, or for gate and up.

use super::tiled::{Bf16, F32, linear};
use super::weight::Weight;
use crate::precision::{Precision, precision};

/// `x`: rows of `inputs` values; each weight: some rows of `inputs` values. The products are added
/// to `residual` if there is one, of the output's shape.
pub(crate) fn forward(
    x: &[f32],
    weights: &[Weight<'_>],
    inputs: usize,
    residual: Option<&[f32]>,
) -> Vec<f32> {
    match precision() {
        Precision::F32 => linear::forward::<F32>(x, weights, inputs, residual),
        Precision::Bf16 => linear::forward::<Bf16>(x, weights, inputs, residual),
    }
}

/// `dx = sum_i dy_i W_i`; `grad`: rows in which the gradients of the outputs stand side by side.
pub(crate) fn backward_input(weights: &[Weight<'_>], grad: &[f32], inputs: usize) -> Vec<f32> {
    match precision() {
        Precision::F32 => linear::backward_input::<F32>(weights, grad, inputs),
        Precision::Bf16 => linear::backward_input::<Bf16>(weights, grad, inputs),
    }
}

/// `dW_i = dy_i^T x` for outputs of the given widths.
pub(crate) fn backward_weights(
    x: &[f32],
    grad: &[f32],
    inputs: usize,
    outputs: &[usize],
) -> Vec<Vec<f32>> {
    match precision() {
        Precision::F32 => linear::backward_weights::<F32>(x, grad, inputs, outputs),
        Precision::Bf16 => linear::backward_weights::<Bf16>(x, grad, inputs, outputs),
    }
}
