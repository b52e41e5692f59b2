//! Attention to positions of the same batch: rows shared out among threads.

use super::row::{Gradients, Row};
use crate::attention::AttentionSpec;
use crate::cpu::buffer::unfilled;
use crate::cpu::partial::sum;
use rayon::prelude::*;

/// `qkv`: rows x width x [`HeadLayout::width`]; `bias`, added to the scaled scores: heads x width x
/// width. Returns rows x width x (heads * head_dim).
///
/// [`HeadLayout::width`]: crate::HeadLayout::width
pub(crate) fn forward(
    qkv: &[f32],
    bias: Option<&[f32]>,
    width: usize,
    spec: &AttentionSpec,
) -> Vec<f32> {
    let stride = check(qkv, bias, width, spec);
    let out_stride = spec.layout.keys();
    let mut output = unfilled(spec.lengths.len() * width * out_stride);
    output
        .par_chunks_mut(width * out_stride)
        .zip(qkv.par_chunks(width * stride))
        .enumerate()
        .for_each(|(index, (output, qkv))| row(qkv, bias, width, index, spec).forward(output));
    output
}

/// Groups of rows whose gradients of the bias are summed side by side, then in their order.
const BIAS_GROUPS: usize = 8;

/// `grad` has the shape of the output. Returns the gradients of `qkv` and, if there is one, `bias`.
pub(crate) fn backward(
    qkv: &[f32],
    bias: Option<&[f32]>,
    grad: &[f32],
    width: usize,
    spec: &AttentionSpec,
) -> (Vec<f32>, Option<Vec<f32>>) {
    let stride = check(qkv, bias, width, spec);
    let out_stride = spec.layout.keys();
    assert_eq!(grad.len(), spec.lengths.len() * width * out_stride, "gradient");
    let mut grad_qkv = unfilled(qkv.len());
    // Rows share the gradient of a bias; without one each is a group.
    let group = if bias.is_some() { spec.lengths.len().div_ceil(BIAS_GROUPS) } else { 1 };
    let size = bias.map_or(0, <[f32]>::len);
    let partials: Vec<Vec<f32>> = grad_qkv
        .par_chunks_mut(group * width * stride)
        .zip(qkv.par_chunks(group * width * stride))
        .zip(grad.par_chunks(group * width * out_stride))
        .enumerate()
        .map(|(first, ((grad_qkv, qkv), grad))| {
            let mut grad_bias = vec![0.0; size];
            let rows = grad_qkv.chunks_mut(width * stride).zip(qkv.chunks(width * stride));
            let rows = rows.zip(grad.chunks(width * out_stride)).zip(first * group..);
            for (((grad_qkv, qkv), grad), index) in rows {
                let gradients = Gradients::Together(grad_qkv);
                row(qkv, bias, width, index, spec).backward(gradients, &mut grad_bias, grad);
            }
            grad_bias
        })
        .collect();
    (grad_qkv, bias.map(|_| sum(&partials, size)))
}

/// Row `index` of the batch.
fn row<'a>(
    qkv: &'a [f32],
    bias: Option<&'a [f32]>,
    width: usize,
    index: usize,
    spec: &'a AttentionSpec,
) -> Row<'a> {
    let (layout, length) = (spec.layout, spec.lengths[index]);
    Row {
        layout,
        causal: spec.causal,
        window: spec.window,
        scale: spec.scale,
        rotary: spec.rotary.as_ref().map(|rotary| rotary.row(index)),
        bias,
        width,
        length,
        key_length: length,
        queries: qkv,
        query_stride: layout.width(),
        keys_values: &qkv[layout.keys()..],
        key_stride: layout.width(),
    }
}

/// Values of a position, after checking that the slice holds whole rows: every output is written
/// then.
fn check(qkv: &[f32], bias: Option<&[f32]>, width: usize, spec: &AttentionSpec) -> usize {
    let rows = spec.lengths.len();
    let pairs = spec.layout.heads * width * width;
    assert!(bias.is_none_or(|bias| bias.len() == pairs), "bias");
    spec.check(rows, width);
    assert_eq!(qkv.len(), rows * width * spec.layout.width(), "queries, keys and values");
    spec.layout.width()
}
