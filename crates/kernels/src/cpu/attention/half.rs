//! One row in bf16: factors rounded, sums and softmax in f32.

use super::row::Row;
use super::softmax::{Block, softmax, softmax_gradient};
use crate::cpu::bf16::amx::{BLOCK, Output, Strips, TileUnit};
use crate::cpu::bf16::pack::{self, Tile};
use crate::cpu::buffer::unfilled;
use crate::cpu::matmul::Write;

/// Blocks of 32 queries. Rows of scores are padded to whole tiles; what lies beyond is zero.
fn block(row: &Row<'_>, first: usize) -> Block {
    let visible = row.visible(first + BLOCK);
    Block {
        first,
        visible,
        stride: visible.next_multiple_of(BLOCK),
        causal: row.spec.causal,
        scale: row.layout().scale(),
    }
}

/// Tiles for a matrix of `outer` rows or columns.
fn tiles(outer: usize, inner: usize) -> Vec<Tile> {
    pack::unfilled_tiles(pack::tiles(outer, inner))
}

/// `output`: rows of `heads * head_dim` values.
pub(super) fn forward(output: &mut [f32], row: &Row<'_>) {
    let (dim, length) = (row.layout().head_dim, row.length);
    let (out_stride, stride) = (row.layout().keys(), row.layout().width());
    let (depth, key_depth) = (pack::depth(dim), pack::depth(length));
    let mut rotated = unfilled(length * dim);
    let (mut queries, mut keys) = (tiles(length, dim), tiles(length, dim));
    let mut values = tiles(dim, length);
    let mut weights = tiles(BLOCK, length);
    let mut scores = unfilled(BLOCK * length.next_multiple_of(BLOCK));
    let unit = TileUnit::configure();
    for kv_head in 0..row.layout().kv_heads {
        row.keys(&mut rotated, kv_head);
        pack::rows_transposed(&mut keys, &rotated, dim, dim);
        pack::row_pairs(&mut values, key_depth, 0, row.values(kv_head), dim, stride);
        for head in row.layout().group(kv_head) {
            row.queries(&mut rotated, head);
            pack::rows(&mut queries, &rotated, dim, dim);
            let queries = Strips::new(&queries, depth);
            for first in (0..length).step_by(BLOCK) {
                let block = block(row, first);
                let scores = &mut scores[..BLOCK * block.stride];
                let output_block = Output::dense(scores, block.stride);
                let keys = Strips::new(&keys, depth);
                unit.multiply(queries.starting_at(first), keys, output_block, Write::Replace);
                let soft = row.biased(scores, head, block);
                softmax(scores, soft);
                let steps = block.stride / BLOCK;
                let weights = &mut weights[..2 * steps];
                pack::rows(weights, scores, block.stride, block.stride);
                let output = Output {
                    data: &mut output[first * out_stride + head * dim..],
                    rows: BLOCK.min(length - first),
                    cols: dim,
                    stride: out_stride,
                };
                let values = Strips::new(&values, key_depth).steps(0, steps);
                unit.multiply(Strips::new(weights, steps), values, output, Write::Replace);
            }
        }
    }
}

/// `grad`: rows of `heads * head_dim` values. Writes every gradient of the row's positions.
pub(super) fn backward(grad_qkv: &mut [f32], grad_bias: &mut [f32], row: &Row<'_>, grad: &[f32]) {
    let (dim, length) = (row.layout().head_dim, row.length);
    let (out_stride, stride) = (row.layout().keys(), row.layout().width());
    let (depth, long_depth) = (pack::depth(dim), pack::depth(length));
    let padded = length.next_multiple_of(BLOCK);
    let mut rotated = unfilled(length * dim);
    // By name of the matrix: rows as a left operand, transposed or by pairs as a right one.
    let (mut q_rows, mut q_pairs) = (tiles(length, dim), tiles(dim, length));
    let (mut k_transposed, mut k_pairs) = (tiles(length, dim), tiles(dim, length));
    let mut v_transposed = tiles(length, dim);
    let (mut grad_rows, mut grad_pairs) = (tiles(length, dim), tiles(dim, length));
    // Probabilities and gradients of scores, transposed: a strip for each 16 keys.
    let (mut p_columns, mut ds_columns) = (tiles(length, length), tiles(length, length));
    let mut ds_rows = tiles(BLOCK, length);
    let (mut p, mut ds) = (unfilled(BLOCK * padded), unfilled(BLOCK * padded));
    let mut grad_queries = unfilled(padded * dim);
    let (mut grad_keys, mut grad_values) = (unfilled(padded * dim), unfilled(padded * dim));
    let unit = TileUnit::configure();
    for kv_head in 0..row.layout().kv_heads {
        row.keys(&mut rotated, kv_head);
        pack::rows_transposed(&mut k_transposed, &rotated, dim, dim);
        pack::row_pairs(&mut k_pairs, long_depth, 0, &rotated, dim, dim);
        pack::rows_transposed(&mut v_transposed, row.values(kv_head), dim, stride);
        for (member, head) in row.layout().group(kv_head).enumerate() {
            row.queries(&mut rotated, head);
            pack::rows(&mut q_rows, &rotated, dim, dim);
            pack::row_pairs(&mut q_pairs, long_depth, 0, &rotated, dim, dim);
            let grad = &grad[head * dim..(length - 1) * out_stride + (head + 1) * dim];
            pack::rows(&mut grad_rows, grad, dim, out_stride);
            pack::row_pairs(&mut grad_pairs, long_depth, 0, grad, dim, out_stride);
            for first in (0..length).step_by(BLOCK) {
                let block = block(row, first);
                let size = BLOCK * block.stride;
                let steps = block.stride / BLOCK;
                let (p, ds) = (&mut p[..size], &mut ds[..size]);
                let left = Strips::new(&q_rows, depth).starting_at(first);
                unit.multiply(
                    left,
                    Strips::new(&k_transposed, depth),
                    Output::dense(p, block.stride),
                    Write::Replace,
                );
                let soft = row.biased(p, head, block);
                softmax(p, soft);
                let left = Strips::new(&grad_rows, depth).starting_at(first);
                unit.multiply(
                    left,
                    Strips::new(&v_transposed, depth),
                    Output::dense(ds, block.stride),
                    Write::Replace,
                );
                softmax_gradient(ds, p, soft);
                row.store_bias(grad_bias, ds, head, block);
                let (step, columns) = (first / BLOCK, 2 * steps * long_depth);
                for (columns, values) in
                    [(&mut p_columns[..columns], &*p), (&mut ds_columns[..columns], &*ds)]
                {
                    let width = block.stride;
                    pack::row_pairs_transposed(columns, long_depth, step, values, width, width);
                }
                let ds_rows = &mut ds_rows[..2 * steps];
                pack::rows(ds_rows, ds, block.stride, block.stride);
                let keys = Strips::new(&k_pairs, long_depth).steps(0, steps);
                let output = Output::dense(&mut grad_queries[first * dim..][..BLOCK * dim], dim);
                unit.multiply(Strips::new(ds_rows, steps), keys, output, Write::Replace);
            }
            row.store_queries(grad_qkv, &grad_queries[..length * dim], head);
            let write = if member == 0 { Write::Replace } else { Write::Add };
            for first in (0..length).step_by(BLOCK) {
                // Queries before a key do not see it.
                let step = if row.spec.causal { first / BLOCK } else { 0 };
                for (columns, right, output) in [
                    (&p_columns, &grad_pairs, &mut grad_values),
                    (&ds_columns, &q_pairs, &mut grad_keys),
                ] {
                    let steps = long_depth - step;
                    let left = Strips::new(columns, long_depth).starting_at(first);
                    let right = Strips::new(right, long_depth).steps(step, steps);
                    let output = Output::dense(&mut output[first * dim..][..BLOCK * dim], dim);
                    unit.multiply(left.steps(step, steps), right, output, write);
                }
            }
        }
        row.store_keys(grad_qkv, &grad_keys[..length * dim], kv_head);
        row.store_values(grad_qkv, &grad_values[..length * dim], kv_head);
    }
}
