//! The rows of a batch, shared out among threads, and the heads of a row.

use super::softmax::{Block, add_bias, split_gradient};
use super::{half, single};
use crate::attention::{AttentionSpec, HeadLayout};
use crate::cpu::buffer::unfilled;
use crate::cpu::partial::sum;
use crate::cpu::rope::{rotate_rows, rotate_rows_back};
use crate::precision::{Precision, precision};
use rayon::prelude::*;

/// `qkv`: rows x width x [`HeadLayout::width`]; `bias`, added to the scaled scores: heads x width x
/// width. Returns rows x width x (heads * head_dim).
pub(crate) fn forward(
    qkv: &[f32],
    bias: Option<&[f32]>,
    width: usize,
    spec: &AttentionSpec,
) -> Vec<f32> {
    let stride = check(qkv, bias, width, spec);
    let out_stride = spec.layout.keys();
    let mut output = unfilled(spec.lengths.len() * width * out_stride);
    let bf16 = precision() == Precision::Bf16;
    output
        .par_chunks_mut(width * out_stride)
        .zip(qkv.par_chunks(width * stride))
        .zip(&spec.lengths[..])
        .for_each(|((output, qkv), length)| {
            let row = Row { qkv, bias, width, length: *length, spec };
            output[row.length * out_stride..].fill(0.0);
            match (row.length, bf16) {
                (0, _) => {}
                (_, true) => half::forward(output, &row),
                (_, false) => single::forward(output, &row),
            }
        });
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
    let bf16 = precision() == Precision::Bf16;
    // Rows share the gradient of a bias; without one each is a group.
    let group = if bias.is_some() { spec.lengths.len().div_ceil(BIAS_GROUPS) } else { 1 };
    let size = bias.map_or(0, <[f32]>::len);
    let partials: Vec<Vec<f32>> = grad_qkv
        .par_chunks_mut(group * width * stride)
        .zip(qkv.par_chunks(group * width * stride))
        .zip(grad.par_chunks(group * width * out_stride))
        .zip(spec.lengths.par_chunks(group))
        .map(|(((grad_qkv, qkv), grad), lengths)| {
            let mut grad_bias = vec![0.0; size];
            let rows = grad_qkv.chunks_mut(width * stride).zip(qkv.chunks(width * stride));
            let rows = rows.zip(grad.chunks(width * out_stride)).zip(lengths);
            for (((grad_qkv, qkv), grad), length) in rows {
                let row = Row { qkv, bias, width, length: *length, spec };
                grad_qkv[row.length * stride..].fill(0.0);
                match (row.length, bf16) {
                    (0, _) => {}
                    (_, true) => half::backward(grad_qkv, &mut grad_bias, &row, grad),
                    (_, false) => single::backward(grad_qkv, &mut grad_bias, &row, grad),
                }
            }
            grad_bias
        })
        .collect();
    (grad_qkv, bias.map(|_| sum(&partials, size)))
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

/// One sequence.
pub(super) struct Row<'a> {
    qkv: &'a [f32],
    bias: Option<&'a [f32]>,
    /// Positions of the batch, padding included.
    width: usize,
    /// Real positions.
    pub(super) length: usize,
    pub(super) spec: &'a AttentionSpec,
}

impl Row<'_> {
    pub(super) fn layout(&self) -> HeadLayout {
        self.spec.layout
    }

    /// The queries of a head, rotated, as contiguous rows.
    pub(super) fn queries(&self, output: &mut [f32], head: usize) {
        self.load(output, head * self.layout().head_dim);
    }

    /// The keys of a head, rotated, as contiguous rows.
    pub(super) fn keys(&self, output: &mut [f32], kv_head: usize) {
        self.load(output, self.layout().keys() + kv_head * self.layout().head_dim);
    }

    fn load(&self, output: &mut [f32], first: usize) {
        let (dim, stride) = (self.layout().head_dim, self.layout().width());
        let source = &self.qkv[first..];
        match &self.spec.rotary {
            Some(rotary) => rotate_rows(output, source, stride, &rotary.cos, &rotary.sin, dim / 2),
            None => {
                for (row, source) in output.chunks_exact_mut(dim).zip(source.chunks(stride)) {
                    row.copy_from_slice(&source[..dim]);
                }
            }
        }
    }

    /// The values of a head: rows of `head_dim` values, [`HeadLayout::width`] apart.
    pub(super) fn values(&self, kv_head: usize) -> &[f32] {
        let HeadLayout { head_dim, .. } = self.layout();
        let first = self.layout().values() + kv_head * head_dim;
        &self.qkv[first..(self.length - 1) * self.layout().width() + first + head_dim]
    }

    /// Writes the gradient of the rotated queries of a head.
    pub(super) fn store_queries(&self, grad_qkv: &mut [f32], grad: &[f32], head: usize) {
        self.store(grad_qkv, grad, head * self.layout().head_dim);
    }

    /// Writes the gradient of the rotated keys of a head.
    pub(super) fn store_keys(&self, grad_qkv: &mut [f32], grad: &[f32], kv_head: usize) {
        self.store(grad_qkv, grad, self.layout().keys() + kv_head * self.layout().head_dim);
    }

    /// Writes the gradient of the values of a head.
    pub(super) fn store_values(&self, grad_qkv: &mut [f32], grad: &[f32], kv_head: usize) {
        let (dim, stride) = (self.layout().head_dim, self.layout().width());
        let output = &mut grad_qkv[self.layout().values() + kv_head * dim..];
        for (row, grad) in output.chunks_mut(stride).zip(grad.chunks_exact(dim)) {
            row[..dim].copy_from_slice(grad);
        }
    }

    fn store(&self, grad_qkv: &mut [f32], grad: &[f32], first: usize) {
        let (dim, stride) = (self.layout().head_dim, self.layout().width());
        let output = &mut grad_qkv[first..];
        match &self.spec.rotary {
            Some(rotary) => {
                rotate_rows_back(output, stride, grad, &rotary.cos, &rotary.sin, dim / 2);
            }
            None => {
                for (row, grad) in output.chunks_mut(stride).zip(grad.chunks_exact(dim)) {
                    row[..dim].copy_from_slice(grad);
                }
            }
        }
    }

    /// Scores before the softmax: products of queries and keys, scaled, with the bias of the head.
    /// Returns the block with the scale that is still to be applied.
    pub(super) fn biased(&self, scores: &mut [f32], head: usize, block: Block) -> Block {
        let Some(bias) = self.bias else {
            return block;
        };
        for (query, scores) in scores.chunks_exact_mut(block.stride).enumerate() {
            if block.first + query < self.length {
                let start = (head * self.width + block.first + query) * self.width;
                add_bias(&mut scores[..block.visible], &bias[start..], block.scale);
            }
        }
        Block { scale: 1.0, ..block }
    }

    /// Adds the gradient of biased scores to that of the bias, and turns it into that of the
    /// products.
    pub(super) fn store_bias(
        &self,
        grad_bias: &mut [f32],
        grad: &mut [f32],
        head: usize,
        block: Block,
    ) {
        if self.bias.is_none() {
            return;
        }
        for (query, grad) in grad.chunks_exact_mut(block.stride).enumerate() {
            if block.first + query < self.length {
                let start = (head * self.width + block.first + query) * self.width;
                split_gradient(&mut grad[..block.visible], &mut grad_bias[start..], block.scale);
            }
        }
    }

    /// How many keys the queries up to `end` (exclusive) may see.
    pub(super) fn visible(&self, end: usize) -> usize {
        if self.spec.causal { end.min(self.length) } else { self.length }
    }
}
