//! Linear layers `y_i = x W_i^T` that share an input, with `W_i` of shape `[out_i, in]`, and their
//! gradients. The outputs stand side by side in one matrix, `[rows, sum of out_i]`, so that a layer
//! reads its input once for queries, keys and values, or for gate and up.

use super::bf16;
use super::buffer::unfilled;
use super::matmul::{Matrix, MatrixMut, Threads, Write, matmul};
use crate::precision::{Precision, precision};

/// The width of each output.
fn widths<'a>(weights: &'a [&[f32]], inputs: usize) -> impl Iterator<Item = usize> + 'a {
    weights.iter().map(move |weight| weight.len() / inputs)
}

/// `x`: rows of `inputs` values; each weight: some rows of `inputs` values. The products are added
/// to `residual` if there is one, of the output's shape.
pub(crate) fn forward(
    x: &[f32],
    weights: &[&[f32]],
    inputs: usize,
    residual: Option<&[f32]>,
) -> Vec<f32> {
    if precision() == Precision::Bf16 {
        return bf16::linear::forward(x, weights, inputs, residual);
    }
    let (rows, total) = (x.len() / inputs, widths(weights, inputs).sum::<usize>());
    let (mut y, write) = match residual {
        Some(residual) => (residual.to_vec(), Write::Add),
        None => (unfilled(rows * total), Write::Replace),
    };
    assert_eq!(y.len(), rows * total, "residual and output");
    let mut first = 0;
    for (weight, outputs) in weights.iter().zip(widths(weights, inputs)) {
        matmul(
            MatrixMut::new(&mut y[first..], rows, outputs, total),
            write,
            1.0,
            Matrix::new(x, rows, inputs, inputs),
            Matrix::new(weight, outputs, inputs, inputs).t(),
            Threads::All,
        );
        first += outputs;
    }
    y
}

/// `dx = sum_i dy_i W_i`; `grad`: rows in which the gradients of the outputs stand side by side.
pub(crate) fn backward_input(weights: &[&[f32]], grad: &[f32], inputs: usize) -> Vec<f32> {
    if precision() == Precision::Bf16 {
        return bf16::linear::backward_input(weights, grad, inputs);
    }
    let total: usize = widths(weights, inputs).sum();
    let rows = grad.len() / total;
    let mut grad_x = unfilled(rows * inputs);
    let (mut first, mut write) = (0, Write::Replace);
    for (weight, outputs) in weights.iter().zip(widths(weights, inputs)) {
        matmul(
            MatrixMut::new(&mut grad_x, rows, inputs, inputs),
            write,
            1.0,
            Matrix::new(&grad[first..], rows, outputs, total),
            Matrix::new(weight, outputs, inputs, inputs),
            Threads::All,
        );
        (first, write) = (first + outputs, Write::Add);
    }
    grad_x
}

/// `dW_i = dy_i^T x` for outputs of the given widths.
pub(crate) fn backward_weights(
    x: &[f32],
    grad: &[f32],
    inputs: usize,
    outputs: &[usize],
) -> Vec<Vec<f32>> {
    if precision() == Precision::Bf16 {
        return bf16::linear::backward_weights(x, grad, inputs, outputs);
    }
    let (rows, total) = (x.len() / inputs, outputs.iter().sum());
    let mut first = 0;
    let gradient = |outputs: &usize| {
        let mut grad_weight = unfilled(outputs * inputs);
        matmul(
            MatrixMut::new(&mut grad_weight, *outputs, inputs, inputs),
            Write::Replace,
            1.0,
            Matrix::new(&grad[first..], rows, *outputs, total).t(),
            Matrix::new(x, rows, inputs, inputs),
            Threads::All,
        );
        first += outputs;
        grad_weight
    };
    outputs.iter().map(gradient).collect()
}
