//! One row, in blocks of queries. Sums and softmax are f32, whatever the elements of the products.

use super::row::{Gradients, Row};
use super::softmax::{Block, softmax, softmax_gradient};
use crate::cpu::buffer::unfilled;
use crate::cpu::tiled::Element;
use crate::cpu::tiled::pack::{self, Tile};
use crate::cpu::tiled::unit::{BLOCK, Output, Strips, Unit, Write};

/// Blocks of 32 queries. Rows of scores are padded to whole blocks; what lies beyond is zero.
fn block(row: &Row<'_>, first: usize) -> Block {
    let visible = row.visible(first + BLOCK);
    Block {
        first,
        visible,
        stride: visible.next_multiple_of(BLOCK),
        causal: row.causal,
        window: row.window,
        scale: row.scale,
    }
}

/// Tiles for a matrix of `outer` rows or columns.
fn tiles<E: Element>(outer: usize, inner: usize) -> Vec<Tile> {
    pack::unfilled_tiles(pack::tiles::<E>(outer, inner))
}

/// `output`: rows of `heads * head_dim` values.
pub(super) fn forward<E: Element>(output: &mut [f32], row: &Row<'_>) {
    let (dim, length, key_length) = (row.layout.head_dim, row.length, row.key_length);
    let (out_stride, stride) = (row.layout.keys(), row.key_stride);
    let (depth, key_depth) = (pack::depth::<E>(dim), pack::depth::<E>(key_length));
    let (mut q, mut k) = (unfilled(length * dim), unfilled(key_length * dim));
    let (mut queries, mut keys) = (tiles::<E>(length, dim), tiles::<E>(key_length, dim));
    let mut values = tiles::<E>(dim, key_length);
    let mut weights = tiles::<E>(BLOCK, key_length);
    let mut scores = unfilled(BLOCK * key_length.next_multiple_of(BLOCK));
    let unit = Unit::<E>::configure();
    for kv_head in 0..row.layout.kv_heads {
        row.keys(&mut k, kv_head);
        pack::rows_transposed::<E>(&mut keys, &k, dim, dim);
        pack::lines::<E>(&mut values, key_depth, 0, row.values(kv_head), dim, stride);
        for head in row.layout.group(kv_head) {
            row.queries(&mut q, head);
            pack::rows::<E>(&mut queries, &q, dim, dim);
            let queries = Strips::new(&queries, depth);
            for first in (0..length).step_by(BLOCK) {
                let block = block(row, first);
                let scores = &mut scores[..BLOCK * block.stride];
                let output_block = Output::dense(scores, block.stride);
                let keys = Strips::new(&keys, depth);
                unit.multiply(queries.starting_at(first), keys, output_block, Write::Replace);
                let soft = row.biased(scores, head, block);
                softmax(scores, soft);
                let steps = pack::depth::<E>(block.visible);
                let weights = &mut weights[..2 * steps];
                pack::rows::<E>(weights, scores, steps * E::DEPTH, block.stride);
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

/// `grad`: rows of `heads * head_dim` values. Writes every gradient of the row's real positions.
pub(super) fn backward<E: Element>(
    gradients: &mut Gradients<'_>,
    grad_bias: &mut [f32],
    row: &Row<'_>,
    grad: &[f32],
) {
    let (dim, length, key_length) = (row.layout.head_dim, row.length, row.key_length);
    let (out_stride, stride) = (row.layout.keys(), row.key_stride);
    let depth = pack::depth::<E>(dim);
    let (query_depth, key_depth) = (pack::depth::<E>(length), pack::depth::<E>(key_length));
    let [padded, key_padded] = [length, key_length].map(|len| len.next_multiple_of(BLOCK));
    let (mut q, mut k) = (unfilled(length * dim), unfilled(key_length * dim));
    // By name of the matrix: rows as a left operand, transposed or by pairs as a right one.
    let (mut q_rows, mut q_pairs) = (tiles::<E>(length, dim), tiles::<E>(dim, length));
    let (mut k_transposed, mut k_pairs) =
        (tiles::<E>(key_length, dim), tiles::<E>(dim, key_length));
    let mut v_transposed = tiles::<E>(key_length, dim);
    let (mut grad_rows, mut grad_pairs) = (tiles::<E>(length, dim), tiles::<E>(dim, length));
    // Probabilities and gradients of scores, transposed: a strip for each 16 keys.
    let (mut p_columns, mut ds_columns) =
        (tiles::<E>(key_length, length), tiles::<E>(key_length, length));
    let mut ds_rows = tiles::<E>(BLOCK, key_length);
    let (mut p, mut ds) = (unfilled(BLOCK * key_padded), unfilled(BLOCK * key_padded));
    let mut grad_queries = unfilled(padded * dim);
    let (mut grad_keys, mut grad_values) = (unfilled(key_padded * dim), unfilled(key_padded * dim));
    let unit = Unit::<E>::configure();
    for kv_head in 0..row.layout.kv_heads {
        row.keys(&mut k, kv_head);
        pack::rows_transposed::<E>(&mut k_transposed, &k, dim, dim);
        pack::lines::<E>(&mut k_pairs, key_depth, 0, &k, dim, dim);
        pack::rows_transposed::<E>(&mut v_transposed, row.values(kv_head), dim, stride);
        for (member, head) in row.layout.group(kv_head).enumerate() {
            row.queries(&mut q, head);
            pack::rows::<E>(&mut q_rows, &q, dim, dim);
            pack::lines::<E>(&mut q_pairs, query_depth, 0, &q, dim, dim);
            let grad = &grad[head * dim..(length - 1) * out_stride + (head + 1) * dim];
            pack::rows::<E>(&mut grad_rows, grad, dim, out_stride);
            pack::lines::<E>(&mut grad_pairs, query_depth, 0, grad, dim, out_stride);
            for first in (0..length).step_by(BLOCK) {
                let block = block(row, first);
                let size = BLOCK * block.stride;
                let steps = pack::depth::<E>(block.visible);
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
                // Only as many steps as the row has: a strip of the operand ends there.
                let queries = pack::depth::<E>(BLOCK.min(length - first)) * E::DEPTH;
                let columns = pack::strips(block.stride) * query_depth;
                for (columns, values) in
                    [(&mut p_columns[..columns], &*p), (&mut ds_columns[..columns], &*ds)]
                {
                    let (step, width) = (first / E::DEPTH, block.stride);
                    let values = &values[..queries * width];
                    pack::lines_transposed::<E>(columns, query_depth, step, values, width, width);
                }
                let ds_rows = &mut ds_rows[..2 * steps];
                pack::rows::<E>(ds_rows, ds, steps * E::DEPTH, block.stride);
                let keys = Strips::new(&k_pairs, key_depth).steps(0, steps);
                let output = Output::dense(&mut grad_queries[first * dim..][..BLOCK * dim], dim);
                unit.multiply(Strips::new(ds_rows, steps), keys, output, Write::Replace);
            }
            row.store_queries(gradients, &grad_queries[..length * dim], head);
            let write = if member == 0 { Write::Replace } else { Write::Add };
            for first in (0..key_length).step_by(BLOCK) {
                // Queries before a key do not see it.
                let step = if row.causal { first / E::DEPTH } else { 0 };
                for (columns, right, output) in [
                    (&p_columns, &grad_pairs, &mut grad_values),
                    (&ds_columns, &q_pairs, &mut grad_keys),
                ] {
                    let steps = query_depth - step;
                    let left = Strips::new(columns, query_depth).starting_at(first);
                    let right = Strips::new(right, query_depth).steps(step, steps);
                    let output = Output::dense(&mut output[first * dim..][..BLOCK * dim], dim);
                    unit.multiply(left.steps(step, steps), right, output, write);
                }
            }
        }
        row.store_keys(gradients, &grad_keys[..key_length * dim], kv_head);
        row.store_values(gradients, &grad_values[..key_length * dim], kv_head);
    }
}
