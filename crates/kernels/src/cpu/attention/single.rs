//! One row in f32.

use super::row::Row;
use super::softmax::{Block, softmax, softmax_gradient};
use crate::cpu::buffer::unfilled;
use crate::cpu::matmul::{Matrix, MatrixMut, Threads, Write, matmul};
use crate::cpu::simd::LANES;

/// Queries of a block.
const QUERIES: usize = 64;

/// A block's queries, and its geometry. Rows are whole vectors, so that none has a remainder.
fn blocks(row: &Row<'_>) -> impl Iterator<Item = (std::ops::Range<usize>, Block)> {
    let (length, causal, scale) = (row.length, row.spec.causal, row.layout().scale());
    (0..length).step_by(QUERIES).map(move |first| {
        let queries = first..length.min(first + QUERIES);
        let visible = row.visible(queries.end);
        let stride = visible.next_multiple_of(LANES);
        (queries, Block { first, visible, stride, causal, scale })
    })
}

/// Largest block of scores of a row.
fn scores(row: &Row<'_>) -> Vec<f32> {
    unfilled(QUERIES.min(row.length) * row.length.next_multiple_of(LANES))
}

/// `output`: rows of `heads * head_dim` values.
pub(super) fn forward(output: &mut [f32], row: &Row<'_>) {
    let (dim, length) = (row.layout().head_dim, row.length);
    let (out_stride, stride) = (row.layout().keys(), row.layout().width());
    let mut keys = unfilled(length * dim);
    let mut queries = unfilled(length * dim);
    let mut scores = scores(row);
    for kv_head in 0..row.layout().kv_heads {
        row.keys(&mut keys, kv_head);
        for head in row.layout().group(kv_head) {
            row.queries(&mut queries, head);
            for (range, block) in blocks(row) {
                let scores = &mut scores[..range.len() * block.stride];
                probabilities(scores, row, head, &queries, &keys, &range, block);
                let output = &mut output[range.start * out_stride + head * dim..];
                matmul(
                    MatrixMut::new(output, range.len(), dim, out_stride),
                    Write::Replace,
                    1.0,
                    Matrix::new(scores, range.len(), block.visible, block.stride),
                    Matrix::new(row.values(kv_head), block.visible, dim, stride),
                    Threads::One,
                );
            }
        }
    }
}

/// Returns the block as the gradient of the softmax needs it.
fn probabilities(
    scores: &mut [f32],
    row: &Row<'_>,
    head: usize,
    queries: &[f32],
    keys: &[f32],
    range: &std::ops::Range<usize>,
    block: Block,
) -> Block {
    let dim = row.layout().head_dim;
    matmul(
        MatrixMut::new(scores, range.len(), block.visible, block.stride),
        Write::Replace,
        1.0,
        Matrix::new(&queries[range.start * dim..], range.len(), dim, dim),
        Matrix::new(keys, block.visible, dim, dim).t(),
        Threads::One,
    );
    let block = row.biased(scores, head, block);
    softmax(scores, block);
    block
}

/// `grad`: rows of `heads * head_dim` values. Writes every gradient of the row's positions.
pub(super) fn backward(grad_qkv: &mut [f32], grad_bias: &mut [f32], row: &Row<'_>, grad: &[f32]) {
    let (dim, length) = (row.layout().head_dim, row.length);
    let (out_stride, stride) = (row.layout().keys(), row.layout().width());
    let mut keys = unfilled(length * dim);
    let mut queries = unfilled(length * dim);
    let mut grad_queries = unfilled(length * dim);
    let (mut scores, mut grad_scores) = (scores(row), scores(row));
    for kv_head in 0..row.layout().kv_heads {
        row.keys(&mut keys, kv_head);
        let (mut grad_keys, mut grad_values) = (vec![0.0; length * dim], vec![0.0; length * dim]);
        for head in row.layout().group(kv_head) {
            row.queries(&mut queries, head);
            for (range, block) in blocks(row) {
                let size = range.len() * block.stride;
                let (p, dp) = (&mut scores[..size], &mut grad_scores[..size]);
                let soft = probabilities(p, row, head, &queries, &keys, &range, block);
                let (count, visible) = (range.len(), block.visible);
                let grad = &grad[range.start * out_stride + head * dim..];
                let grad = Matrix::new(grad, count, dim, out_stride);
                // The gradient of every product in turn: values, probabilities, queries, keys.
                matmul(
                    MatrixMut::new(&mut grad_values, visible, dim, dim),
                    Write::Add,
                    1.0,
                    Matrix::new(p, count, visible, block.stride).t(),
                    grad,
                    Threads::One,
                );
                matmul(
                    MatrixMut::new(dp, count, visible, block.stride),
                    Write::Replace,
                    1.0,
                    grad,
                    Matrix::new(row.values(kv_head), visible, dim, stride).t(),
                    Threads::One,
                );
                softmax_gradient(dp, p, soft);
                row.store_bias(grad_bias, dp, head, block);
                let dp = Matrix::new(dp, count, visible, block.stride);
                matmul(
                    MatrixMut::new(&mut grad_queries[range.start * dim..], count, dim, dim),
                    Write::Replace,
                    1.0,
                    dp,
                    Matrix::new(&keys, visible, dim, dim),
                    Threads::One,
                );
                matmul(
                    MatrixMut::new(&mut grad_keys, visible, dim, dim),
                    Write::Add,
                    1.0,
                    dp.t(),
                    Matrix::new(&queries[range.start * dim..], count, dim, dim),
                    Threads::One,
                );
            }
            row.store_queries(grad_qkv, &grad_queries, head);
        }
        row.store_keys(grad_qkv, &grad_keys, kv_head);
        row.store_values(grad_qkv, &grad_values, kv_head);
    }
}
