use super::attention::Attention;
use super::{Encoded, EncoderDecoderConfig};
use crate::{Parameter, ParameterVisitor};
use afterthought_kernels as kernels;
use afterthought_kernels::{AttentionSpec, CrossAttentionSpec};
use burn::tensor::Tensor;
use std::sync::Arc;

/// One block: self-attention, cross-attention in decoders, and the feed-forward layer, each after a
/// norm and added to the residual stream.
#[derive(Clone, Debug)]
pub(super) struct Block {
    pub(super) attention: Attention,
    pub(super) cross: Option<Attention>,
    pub(super) feed_forward: FeedForward,
}

#[derive(Clone, Debug)]
pub(super) struct FeedForward {
    pub(super) norm: Parameter<1>,
    pub(super) wi: Inner,
    pub(super) wo: Parameter<2>,
}

/// The projections into the feed-forward layer.
#[derive(Clone, Debug)]
pub(super) enum Inner {
    Plain(Box<Parameter<2>>),
    /// The one inside the activation, then the one that multiplies it.
    Gated(Box<[Parameter<2>; 2]>),
}

/// What the blocks of a stack have in common in one pass.
pub(super) struct Shared<'a> {
    pub(super) config: &'a EncoderDecoderConfig,
    pub(super) spec: AttentionSpec,
    /// `[heads * width, width]`.
    pub(super) bias: Tensor<2>,
    /// What decoder blocks attend to.
    pub(super) encoded: Option<&'a Encoded>,
}

impl Block {
    /// `[positions, d_model]` to the same; with `at`, only the rows at those flat positions come
    /// out, and everything after the last attention is computed for them alone.
    pub(super) fn forward(
        &self,
        x: Tensor<2>,
        shared: &Shared<'_>,
        at: Option<Arc<[u32]>>,
    ) -> Tensor<2> {
        let eps = shared.config.layer_norm_epsilon;
        let h = kernels::rms_norm(x.clone(), self.attention.norm.value.clone(), eps);
        let qkv = kernels::linear_triple(h, self.attention.weights());
        let attended = kernels::biased_attention(qkv, shared.bias.clone(), shared.spec.clone());
        let (x, attended, o) = match self.cross.as_ref().zip(shared.encoded) {
            None => (x, attended, &self.attention.o),
            Some((cross, encoded)) => {
                let x = kernels::linear_add(attended, self.attention.o.value.clone(), x);
                let attended = cross_attend(cross, x.clone(), encoded, shared);
                (x, attended, &cross.o)
            }
        };
        let (x, attended) = match at {
            Some(at) => (kernels::embedding(x, at.clone()), kernels::embedding(attended, at)),
            None => (x, attended),
        };
        let x = kernels::linear_add(attended, o.value.clone(), x);
        self.feed_forward.forward(x, shared.config)
    }

    pub(super) fn visit<V: ParameterVisitor>(&mut self, visitor: &mut V) {
        self.attention.visit(visitor);
        if let Some(cross) = &mut self.cross {
            cross.visit(visitor);
        }
        self.feed_forward.visit(visitor);
    }
}

/// Attention to the encoder's hidden states: no bias, only their padding is hidden.
fn cross_attend(
    cross: &Attention,
    x: Tensor<2>,
    encoded: &Encoded,
    shared: &Shared<'_>,
) -> Tensor<2> {
    let h = kernels::rms_norm(x, cross.norm.value.clone(), shared.config.layer_norm_epsilon);
    let [q, k, v] = cross.weights();
    let kv = kernels::linear_pair(encoded.hidden(), [k, v]);
    let spec = CrossAttentionSpec {
        layout: shared.spec.layout,
        scale: shared.spec.scale,
        lengths: shared.spec.lengths.clone(),
        key_lengths: encoded.lengths().clone(),
    };
    kernels::cross_attention(kernels::linear(h, q), kv, spec)
}

impl FeedForward {
    fn forward(&self, x: Tensor<2>, config: &EncoderDecoderConfig) -> Tensor<2> {
        let eps = config.layer_norm_epsilon;
        let h = kernels::rms_norm(x.clone(), self.norm.value.clone(), eps);
        let inner = match &self.wi {
            Inner::Plain(wi) => {
                kernels::activate(kernels::linear(h, wi.value.clone()), config.activation)
            }
            Inner::Gated(weights) => {
                let weights = weights.each_ref().map(|weight| weight.value.clone());
                kernels::gated(kernels::linear_pair(h, weights), config.activation)
            }
        };
        kernels::linear_add(inner, self.wo.value.clone(), x)
    }

    fn visit<V: ParameterVisitor>(&mut self, visitor: &mut V) {
        visitor.visit(&mut self.norm);
        match &mut self.wi {
            Inner::Plain(wi) => visitor.visit(wi),
            Inner::Gated(weights) => weights.iter_mut().for_each(|weight| visitor.visit(weight)),
        }
        visitor.visit(&mut self.wo);
    }
}
