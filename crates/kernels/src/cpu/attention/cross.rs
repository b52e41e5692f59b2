//! Attention to positions of another batch with the same rows.

use super::row::{Gradients, Row};
use crate::attention::CrossAttentionSpec;
use crate::cpu::buffer::unfilled;
use rayon::prelude::*;

/// `q`: rows x queries x (heads * head_dim); `kv`: rows x keys x [`HeadLayout::keys_values`].
/// Returns the shape of `q`.
///
/// [`HeadLayout::keys_values`]: crate::HeadLayout::keys_values
pub(crate) fn forward(q: &[f32], kv: &[f32], spec: &CrossAttentionSpec) -> Vec<f32> {
    let [of_q, of_kv] = check(q, kv, spec);
    let mut output = unfilled(q.len());
    output
        .par_chunks_mut(of_q)
        .zip(q.par_chunks(of_q))
        .zip(kv.par_chunks(of_kv))
        .zip(lengths(spec))
        .for_each(|(((output, q), kv), lengths)| row(q, kv, lengths, spec).forward(output));
    output
}

/// `grad` has the shape of the output. Returns the gradients of `q` and `kv`.
pub(crate) fn backward(
    q: &[f32],
    kv: &[f32],
    grad: &[f32],
    spec: &CrossAttentionSpec,
) -> (Vec<f32>, Vec<f32>) {
    let [of_q, of_kv] = check(q, kv, spec);
    assert_eq!(grad.len(), q.len(), "gradient");
    let (mut grad_q, mut grad_kv) = (unfilled(q.len()), unfilled(kv.len()));
    grad_q
        .par_chunks_mut(of_q)
        .zip(grad_kv.par_chunks_mut(of_kv))
        .zip(q.par_chunks(of_q).zip(kv.par_chunks(of_kv)))
        .zip(grad.par_chunks(of_q))
        .zip(lengths(spec))
        .for_each(|((((queries, keys_values), (q, kv)), grad), lengths)| {
            let gradients = Gradients::Apart { queries, keys_values };
            row(q, kv, lengths, spec).backward(gradients, &mut [], grad);
        });
    (grad_q, grad_kv)
}

/// Real queries and keys of each row.
fn lengths(
    spec: &CrossAttentionSpec,
) -> impl IndexedParallelIterator<Item = (&usize, &usize)> + '_ {
    spec.lengths.par_iter().zip(spec.key_lengths.par_iter())
}

fn row<'a>(
    q: &'a [f32],
    kv: &'a [f32],
    (length, key_length): (&usize, &usize),
    spec: &CrossAttentionSpec,
) -> Row<'a> {
    let layout = spec.layout;
    Row {
        layout,
        causal: false,
        window: None,
        scale: spec.scale,
        rotary: None,
        bias: None,
        width: q.len() / layout.keys(),
        length: *length,
        key_length: *key_length,
        queries: q,
        query_stride: layout.keys(),
        keys_values: kv,
        key_stride: layout.keys_values(),
    }
}

/// Values of a row of queries and of keys and values, after checking that both slices hold whole
/// rows: every output is written then.
fn check(q: &[f32], kv: &[f32], spec: &CrossAttentionSpec) -> [usize; 2] {
    let (layout, rows) = (spec.layout, spec.lengths.len());
    let [width, key_width] =
        [(q, layout.keys()), (kv, layout.keys_values())].map(|(values, stride)| {
            let width = values.len() / (rows * stride);
            assert!(width > 0 && values.len() == rows * width * stride, "ragged rows");
            width
        });
    spec.check(width, key_width);
    [width * layout.keys(), key_width * layout.keys_values()]
}
