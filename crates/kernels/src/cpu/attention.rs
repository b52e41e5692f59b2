//! Softmax attention with rotary embedding, grouped queries, causal or bidirectional masking and
//! key padding, and its gradients. Probabilities are recomputed in the backward pass, so nothing
//! of size positions x positions outlives a head.

use super::buffer::unfilled;
use super::matmul::{Matrix, MatrixMut, Threads, Write, matmul};
use super::rope::{rotate_rows, rotate_rows_back};
use super::simd::{LANES, dot, exp_shifted_in_place, max, vectorised};
use crate::attention::AttentionSpec;
use rayon::prelude::*;

/// Gradients for queries, keys and values.
pub(crate) struct Gradients {
    pub(crate) q: Vec<f32>,
    pub(crate) k: Vec<f32>,
    pub(crate) v: Vec<f32>,
}

/// `q`: rows x width x (heads * head_dim); `k`, `v`: rows x width x (kv_heads * head_dim).
/// Returns the shape of `q`.
pub(crate) fn forward(
    q: &[f32],
    k: &[f32],
    v: &[f32],
    width: usize,
    spec: &AttentionSpec,
) -> Vec<f32> {
    let (q_stride, kv_stride) = check(q, k, v, width, spec);
    let mut output = unfilled(q.len());
    output
        .par_chunks_mut(width * q_stride)
        .zip(q.par_chunks(width * q_stride))
        .zip(k.par_chunks(width * kv_stride).zip(v.par_chunks(width * kv_stride)))
        .zip(&spec.lengths[..])
        .for_each(|(((output, q), (k, v)), length)| forward_row(output, q, k, v, *length, spec));
    output
}

/// The strides of queries and keys, after checking that the slices hold whole rows: every output
/// is written then.
fn check(q: &[f32], k: &[f32], v: &[f32], width: usize, spec: &AttentionSpec) -> (usize, usize) {
    let rows = spec.lengths.len();
    spec.check(rows, width);
    let (q_stride, kv_stride) = strides(spec);
    assert_eq!(q.len(), rows * width * q_stride, "queries");
    assert_eq!(k.len(), rows * width * kv_stride, "keys");
    assert_eq!(v.len(), k.len(), "values");
    (q_stride, kv_stride)
}

fn strides(spec: &AttentionSpec) -> (usize, usize) {
    (spec.heads * spec.head_dim, spec.kv_heads * spec.head_dim)
}

/// One head's rows, rotated if there is a rotary table, as contiguous rows of `head_dim`.
fn load_head(output: &mut [f32], source: &[f32], stride: usize, spec: &AttentionSpec) {
    let dim = spec.head_dim;
    match &spec.rotary {
        Some(rotary) => rotate_rows(output, source, stride, &rotary.cos, &rotary.sin, dim / 2),
        None => {
            for (row, source) in output.chunks_exact_mut(dim).zip(source.chunks(stride)) {
                row.copy_from_slice(&source[..dim]);
            }
        }
    }
}

/// The reverse of [`load_head`] for gradients.
fn store_head_gradient(output: &mut [f32], stride: usize, source: &[f32], spec: &AttentionSpec) {
    let dim = spec.head_dim;
    match &spec.rotary {
        Some(rotary) => {
            rotate_rows_back(output, stride, source, &rotary.cos, &rotary.sin, dim / 2);
        }
        None => {
            for (row, source) in output.chunks_mut(stride).zip(source.chunks_exact(dim)) {
                row[..dim].copy_from_slice(source);
            }
        }
    }
}

fn forward_row(
    output: &mut [f32],
    q: &[f32],
    k: &[f32],
    v: &[f32],
    length: usize,
    spec: &AttentionSpec,
) {
    let dim = spec.head_dim;
    let (q_stride, kv_stride) = strides(spec);
    output[length * q_stride..].fill(0.0);
    if length == 0 {
        return;
    }
    let mut keys = unfilled(length * dim);
    let mut queries = unfilled(length * dim);
    let stride = score_stride(length);
    let mut scores = unfilled(length * stride);
    for kv_head in 0..spec.kv_heads {
        load_head(&mut keys, &k[kv_head * dim..], kv_stride, spec);
        let values = Matrix::new(&v[kv_head * dim..], length, dim, kv_stride);
        for head in heads_of(kv_head, spec) {
            load_head(&mut queries, &q[head * dim..], q_stride, spec);
            probabilities(&mut scores, &queries, &keys, length, spec);
            matmul(
                MatrixMut::new(&mut output[head * dim..], length, dim, q_stride),
                Write::Replace,
                1.0,
                Matrix::new(&scores, length, length, stride),
                values,
                Threads::One,
            );
        }
    }
}

/// Row stride of a matrix of scores: whole vectors, so that no row has a remainder.
fn score_stride(length: usize) -> usize {
    length.next_multiple_of(LANES)
}

/// Query heads that share one key/value head.
fn heads_of(kv_head: usize, spec: &AttentionSpec) -> std::ops::Range<usize> {
    let group = spec.heads / spec.kv_heads;
    kv_head * group..(kv_head + 1) * group
}

/// `softmax(scale * q k^T)` with the causal mask, `length x length`.
fn probabilities(
    scores: &mut [f32],
    queries: &[f32],
    keys: &[f32],
    length: usize,
    spec: &AttentionSpec,
) {
    let dim = spec.head_dim;
    matmul(
        MatrixMut::new(scores, length, length, score_stride(length)),
        Write::Replace,
        spec.scale(),
        Matrix::new(queries, length, dim, dim),
        Matrix::new(keys, length, dim, dim).t(),
        Threads::One,
    );
    softmax_rows(scores, length, spec.causal);
}

vectorised! {
    /// Softmax over the visible keys of each row; everything else in the row becomes 0.
    fn softmax_rows(scores: &mut [f32], length: usize, causal: bool) {
        let stride = length.next_multiple_of(LANES);
        for (query, row) in scores.chunks_exact_mut(stride).enumerate() {
            let visible = if causal { query + 1 } else { length };
            row[visible..].fill(f32::NEG_INFINITY);
            let largest = max(row);
            // Hidden keys add e^-87 each to the sum: nothing in f32.
            let scale = 1.0 / exp_shifted_in_place(row, largest);
            for value in row.iter_mut() {
                *value *= scale;
            }
            row[visible..].fill(0.0);
        }
    }
}

vectorised! {
    /// `p * (dp - sum(p dp)) * scale`, row by row, into `grad` (which holds `dp`).
    fn softmax_gradient_rows(grad: &mut [f32], probabilities: &[f32], length: usize, scale: f32) {
        let stride = length.next_multiple_of(LANES);
        for (grad, p) in grad.chunks_exact_mut(stride).zip(probabilities.chunks_exact(stride)) {
            grad[length..].fill(0.0);
            let inner = dot(grad, p);
            for (grad, p) in grad.iter_mut().zip(p) {
                *grad = p * (*grad - inner) * scale;
            }
        }
    }
}

/// `grad` has the shape of the output.
pub(crate) fn backward(
    q: &[f32],
    k: &[f32],
    v: &[f32],
    grad: &[f32],
    width: usize,
    spec: &AttentionSpec,
) -> Gradients {
    let (q_stride, kv_stride) = check(q, k, v, width, spec);
    assert_eq!(q.len(), grad.len(), "queries and gradient");
    let (mut grad_q, mut grad_k, mut grad_v) =
        (unfilled(q.len()), unfilled(k.len()), unfilled(v.len()));
    let rows = grad_q.par_chunks_mut(width * q_stride).zip(
        grad_k.par_chunks_mut(width * kv_stride).zip(grad_v.par_chunks_mut(width * kv_stride)),
    );
    rows.zip(q.par_chunks(width * q_stride).zip(grad.par_chunks(width * q_stride)))
        .zip(k.par_chunks(width * kv_stride).zip(v.par_chunks(width * kv_stride)))
        .zip(&spec.lengths[..])
        .for_each(|((((grad_q, (grad_k, grad_v)), (q, grad)), (k, v)), length)| {
            backward_row([grad_q, grad_k, grad_v], [q, k, v], grad, *length, spec);
        });
    Gradients { q: grad_q, k: grad_k, v: grad_v }
}

fn backward_row(
    [grad_q, grad_k, grad_v]: [&mut [f32]; 3],
    [q, k, v]: [&[f32]; 3],
    grad: &[f32],
    length: usize,
    spec: &AttentionSpec,
) {
    let dim = spec.head_dim;
    let (q_stride, kv_stride) = strides(spec);
    grad_q[length * q_stride..].fill(0.0);
    grad_k[length * kv_stride..].fill(0.0);
    grad_v[length * kv_stride..].fill(0.0);
    if length == 0 {
        return;
    }
    let mut keys = unfilled(length * dim);
    let mut queries = unfilled(length * dim);
    let mut grad_keys = unfilled(length * dim);
    let mut grad_queries = unfilled(length * dim);
    let stride = score_stride(length);
    let mut scores = unfilled(length * stride);
    let mut grad_scores = unfilled(length * stride);
    for kv_head in 0..spec.kv_heads {
        load_head(&mut keys, &k[kv_head * dim..], kv_stride, spec);
        let values = Matrix::new(&v[kv_head * dim..], length, dim, kv_stride);
        for (member, head) in heads_of(kv_head, spec).enumerate() {
            let into = if member == 0 { Write::Replace } else { Write::Add };
            load_head(&mut queries, &q[head * dim..], q_stride, spec);
            probabilities(&mut scores, &queries, &keys, length, spec);
            let grad = Matrix::new(&grad[head * dim..], length, dim, q_stride);
            matmul(
                MatrixMut::new(&mut grad_v[kv_head * dim..], length, dim, kv_stride),
                into,
                1.0,
                Matrix::new(&scores, length, length, stride).t(),
                grad,
                Threads::One,
            );
            matmul(
                MatrixMut::new(&mut grad_scores, length, length, stride),
                Write::Replace,
                1.0,
                grad,
                values.t(),
                Threads::One,
            );
            softmax_gradient_rows(&mut grad_scores, &scores, length, spec.scale());
            matmul(
                MatrixMut::new(&mut grad_queries, length, dim, dim),
                Write::Replace,
                1.0,
                Matrix::new(&grad_scores, length, length, stride),
                Matrix::new(&keys, length, dim, dim),
                Threads::One,
            );
            store_head_gradient(&mut grad_q[head * dim..], q_stride, &grad_queries, spec);
            matmul(
                MatrixMut::new(&mut grad_keys, length, dim, dim),
                into,
                1.0,
                Matrix::new(&grad_scores, length, length, stride).t(),
                Matrix::new(&queries, length, dim, dim),
                Threads::One,
            );
        }
        store_head_gradient(&mut grad_k[kv_head * dim..], kv_stride, &grad_keys, spec);
    }
}
