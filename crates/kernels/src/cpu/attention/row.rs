//! One row of a batch and its heads.

use super::blocks;
use super::softmax::{Block, add_bias, split_gradient};
use crate::attention::{HeadLayout, RotaryTable};
use crate::cpu::rope::{rotate_rows, rotate_rows_back};
use crate::cpu::tiled::{Bf16, F32};
use crate::precision::{Precision, precision};

/// One sequence of queries and the sequence that they attend to.
pub(super) struct Row<'a> {
    pub(super) layout: HeadLayout,
    pub(super) causal: bool,
    pub(super) window: Option<usize>,
    /// Factor on the products of queries and keys.
    pub(super) scale: f32,
    pub(super) rotary: Option<&'a RotaryTable>,
    /// heads x width x width.
    pub(super) bias: Option<&'a [f32]>,
    /// Positions of the batch, padding included.
    pub(super) width: usize,
    /// Real queries.
    pub(super) length: usize,
    /// Real keys.
    pub(super) key_length: usize,
    /// Query heads at the beginning of rows that are `query_stride` apart.
    pub(super) queries: &'a [f32],
    pub(super) query_stride: usize,
    /// Key heads and value heads at the beginning of rows that are `key_stride` apart.
    pub(super) keys_values: &'a [f32],
    pub(super) key_stride: usize,
}

/// Where the gradients of a row go: they lie as the values do.
pub(super) enum Gradients<'a> {
    /// Queries, keys and values of a position side by side.
    Together(&'a mut [f32]),
    /// Queries apart from keys and values.
    Apart { queries: &'a mut [f32], keys_values: &'a mut [f32] },
}

impl Gradients<'_> {
    /// Zeroes those of the queries from `length` on and of the keys and values from `key_length` on,
    /// which are the same positions where they stand side by side.
    fn clear(&mut self, row: &Row<'_>, length: usize, key_length: usize) {
        match self {
            Self::Together(all) => all[length * row.query_stride..].fill(0.0),
            Self::Apart { queries, keys_values } => {
                queries[length * row.query_stride..].fill(0.0);
                keys_values[key_length * row.key_stride..].fill(0.0);
            }
        }
    }

    fn queries(&mut self) -> &mut [f32] {
        match self {
            Self::Together(all) => all,
            Self::Apart { queries, .. } => queries,
        }
    }

    fn keys_values(&mut self, layout: HeadLayout) -> &mut [f32] {
        match self {
            Self::Together(all) => &mut all[layout.keys()..],
            Self::Apart { keys_values, .. } => keys_values,
        }
    }
}

impl Row<'_> {
    /// Writes all of `output`: rows of `heads * head_dim` values.
    pub(super) fn forward(&self, output: &mut [f32]) {
        let real = if self.key_length == 0 { 0 } else { self.length };
        output[real * self.layout.keys()..].fill(0.0);
        match (real, precision()) {
            (0, _) => {}
            (_, Precision::Bf16) => blocks::forward::<Bf16>(output, self),
            (_, Precision::F32) => blocks::forward::<F32>(output, self),
        }
    }

    /// Writes all gradients of the row and adds those of the bias.
    pub(super) fn backward(
        &self,
        mut gradients: Gradients<'_>,
        grad_bias: &mut [f32],
        grad: &[f32],
    ) {
        if self.length == 0 || self.key_length == 0 {
            return gradients.clear(self, 0, 0);
        }
        gradients.clear(self, self.length, self.key_length);
        match precision() {
            Precision::Bf16 => blocks::backward::<Bf16>(&mut gradients, grad_bias, self, grad),
            Precision::F32 => blocks::backward::<F32>(&mut gradients, grad_bias, self, grad),
        }
    }

    /// The queries of a head, rotated, as contiguous rows.
    pub(super) fn queries(&self, output: &mut [f32], head: usize) {
        let source = &self.queries[head * self.layout.head_dim..];
        self.load(&mut output[..self.length * self.layout.head_dim], source, self.query_stride);
    }

    /// The keys of a head, rotated, as contiguous rows.
    pub(super) fn keys(&self, output: &mut [f32], kv_head: usize) {
        let source = &self.keys_values[kv_head * self.layout.head_dim..];
        self.load(&mut output[..self.key_length * self.layout.head_dim], source, self.key_stride);
    }

    fn load(&self, output: &mut [f32], source: &[f32], stride: usize) {
        let dim = self.layout.head_dim;
        match self.rotary {
            Some(rotary) => rotate_rows(output, source, stride, &rotary.cos, &rotary.sin, dim / 2),
            None => {
                for (row, source) in output.chunks_exact_mut(dim).zip(source.chunks(stride)) {
                    row.copy_from_slice(&source[..dim]);
                }
            }
        }
    }

    /// Where the values of a head stand in a row of keys and values.
    fn first_value(&self, kv_head: usize) -> usize {
        (self.layout.kv_heads + kv_head) * self.layout.head_dim
    }

    /// The values of a head: rows of `head_dim` values, `key_stride` apart.
    pub(super) fn values(&self, kv_head: usize) -> &[f32] {
        let first = self.first_value(kv_head);
        let last = (self.key_length - 1) * self.key_stride;
        &self.keys_values[first..last + first + self.layout.head_dim]
    }

    /// Writes the gradient of the rotated queries of a head.
    pub(super) fn store_queries(&self, to: &mut Gradients<'_>, grad: &[f32], head: usize) {
        let to = &mut to.queries()[head * self.layout.head_dim..];
        self.store(to, self.query_stride, grad);
    }

    /// Writes the gradient of the rotated keys of a head.
    pub(super) fn store_keys(&self, to: &mut Gradients<'_>, grad: &[f32], kv_head: usize) {
        let to = &mut to.keys_values(self.layout)[kv_head * self.layout.head_dim..];
        self.store(to, self.key_stride, grad);
    }

    /// Writes the gradient of the values of a head.
    pub(super) fn store_values(&self, to: &mut Gradients<'_>, grad: &[f32], kv_head: usize) {
        let to = &mut to.keys_values(self.layout)[self.first_value(kv_head)..];
        self.copy(to, self.key_stride, grad);
    }

    fn store(&self, to: &mut [f32], stride: usize, grad: &[f32]) {
        match self.rotary {
            Some(rotary) => {
                let half = self.layout.head_dim / 2;
                rotate_rows_back(to, stride, grad, &rotary.cos, &rotary.sin, half);
            }
            None => self.copy(to, stride, grad),
        }
    }

    fn copy(&self, to: &mut [f32], stride: usize, grad: &[f32]) {
        let dim = self.layout.head_dim;
        for (to, grad) in to.chunks_mut(stride).zip(grad.chunks_exact(dim)) {
            to[..dim].copy_from_slice(grad);
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
        if self.causal { end.min(self.key_length) } else { self.key_length }
    }
}
