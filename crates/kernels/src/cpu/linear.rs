//! `y = x W^T` with `W` of shape `[out, in]`, and its gradients.

use super::bf16;
use super::buffer::unfilled;
use super::matmul::{Matrix, MatrixMut, Threads, Write, matmul};
use crate::precision::{Precision, precision};

/// `x`: rows of `inputs` values; `weight`: `outputs` rows of `inputs` values.
pub(crate) fn forward(x: &[f32], weight: &[f32], inputs: usize) -> Vec<f32> {
    if precision() == Precision::Bf16 {
        return bf16::forward(x, weight, inputs);
    }
    let (rows, outputs) = (x.len() / inputs, weight.len() / inputs);
    let mut y = unfilled(rows * outputs);
    matmul(
        MatrixMut::new(&mut y, rows, outputs, outputs),
        Write::Replace,
        1.0,
        Matrix::new(x, rows, inputs, inputs),
        Matrix::new(weight, outputs, inputs, inputs).t(),
        Threads::All,
    );
    y
}

/// `dx = dy W`.
pub(crate) fn backward_input(weight: &[f32], grad: &[f32], inputs: usize) -> Vec<f32> {
    if precision() == Precision::Bf16 {
        return bf16::backward_input(weight, grad, inputs);
    }
    let outputs = weight.len() / inputs;
    let rows = grad.len() / outputs;
    let mut grad_x = unfilled(rows * inputs);
    matmul(
        MatrixMut::new(&mut grad_x, rows, inputs, inputs),
        Write::Replace,
        1.0,
        Matrix::new(grad, rows, outputs, outputs),
        Matrix::new(weight, outputs, inputs, inputs),
        Threads::All,
    );
    grad_x
}

/// `dW = dy^T x`.
pub(crate) fn backward_weight(x: &[f32], grad: &[f32], inputs: usize, outputs: usize) -> Vec<f32> {
    if precision() == Precision::Bf16 {
        return bf16::backward_weight(x, grad, inputs, outputs);
    }
    let rows = x.len() / inputs;
    let mut grad_weight = unfilled(outputs * inputs);
    matmul(
        MatrixMut::new(&mut grad_weight, outputs, inputs, inputs),
        Write::Replace,
        1.0,
        Matrix::new(grad, rows, outputs, outputs).t(),
        Matrix::new(x, rows, inputs, inputs),
        Threads::All,
    );
    grad_weight
}
