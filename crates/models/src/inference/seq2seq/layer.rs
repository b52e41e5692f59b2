use crate::encoder_decoder::RelativePositions;
use afterthought_kernels::inference::{PackedLinear, RelativeBias};

/// The encoder or the decoder.
#[derive(Debug)]
pub(super) struct Stack {
    pub(super) layers: Vec<Layer>,
    /// `[buckets, heads]`.
    pub(super) bias: Vec<f32>,
    pub(super) positions: RelativePositions,
    pub(super) heads: usize,
    /// Of the decoder it includes the scale of the head's input.
    pub(super) norm: Vec<f32>,
}

impl Stack {
    /// The biases for keys up to `before` positions before and `after` positions after a query.
    pub(super) fn relative_bias(&self, before: usize, after: usize) -> RelativeBias {
        RelativeBias::new(self.heads, before, after, |head, offset| {
            self.bias[self.positions.bucket(offset) * self.heads + head]
        })
    }
}

/// One block.
#[derive(Debug)]
pub(super) struct Layer {
    pub(super) norm: Vec<f32>,
    /// Queries, keys and values, one below the other.
    pub(super) qkv: PackedLinear,
    pub(super) o: PackedLinear,
    pub(super) cross: Option<Cross>,
    pub(super) feed_forward: FeedForward,
}

/// Attention of a decoder block to the encoder.
#[derive(Debug)]
pub(super) struct Cross {
    pub(super) norm: Vec<f32>,
    pub(super) q: PackedLinear,
    /// Keys and values, one below the other.
    pub(super) kv: PackedLinear,
    pub(super) o: PackedLinear,
}

#[derive(Debug)]
pub(super) struct FeedForward {
    pub(super) norm: Vec<f32>,
    /// Plain or gated.
    pub(super) wi: PackedLinear,
    pub(super) wo: PackedLinear,
}

impl Layer {
    /// Bytes of the weights but for norms.
    pub(super) fn bytes(&self) -> usize {
        let cross = self.cross.iter().flat_map(|cross| [&cross.q, &cross.kv, &cross.o]);
        let own = [&self.qkv, &self.o, &self.feed_forward.wi, &self.feed_forward.wo];
        own.into_iter().chain(cross).map(PackedLinear::bytes).sum()
    }
}
