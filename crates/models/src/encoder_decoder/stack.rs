use super::block::{Block, Shared};
use super::{Encoded, EncoderDecoderConfig, RelativePositions};
use crate::{Batch, Parameter, ParameterVisitor};
use afterthought_kernels as kernels;
use afterthought_kernels::{AttentionSpec, HeadLayout};
use burn::tensor::Tensor;
use std::sync::Arc;

/// The encoder or the decoder.
#[derive(Clone, Debug)]
pub(super) struct Stack {
    pub(super) blocks: Vec<Block>,
    /// `[buckets, heads]`; stored with block 0, used by all.
    pub(super) bias: Parameter<2>,
    pub(super) positions: RelativePositions,
    pub(super) causal: bool,
    pub(super) norm: Parameter<1>,
}

impl Stack {
    /// Normalised hidden states of the embedded batch `x`, `[positions, d_model]`; with `at`, of
    /// those flat positions only.
    pub(super) fn forward(
        &self,
        mut x: Tensor<2>,
        batch: &Batch,
        config: &EncoderDecoderConfig,
        encoded: Option<&Encoded>,
        at: Option<Arc<[u32]>>,
    ) -> Tensor<2> {
        let (heads, head_dim) = (config.num_heads, config.d_kv);
        let spec = AttentionSpec {
            layout: HeadLayout { heads, kv_heads: heads, head_dim },
            causal: self.causal,
            window: None,
            scale: 1.0,
            rotary: None,
            lengths: batch.lengths().clone(),
        };
        let buckets = self.positions.square(batch.width());
        let bias = kernels::bucketed_bias(self.bias.value.clone(), buckets);
        let shared = Shared { config, spec, bias, encoded };
        for (index, block) in self.blocks.iter().enumerate() {
            let last = index + 1 == self.blocks.len();
            x = block.forward(x, &shared, at.clone().filter(|_| last));
        }
        kernels::rms_norm(x, self.norm.value.clone(), config.layer_norm_epsilon)
    }

    pub(super) fn visit<V: ParameterVisitor>(&mut self, visitor: &mut V) {
        visitor.visit(&mut self.bias);
        for block in &mut self.blocks {
            block.visit(visitor);
        }
        visitor.visit(&mut self.norm);
    }
}
