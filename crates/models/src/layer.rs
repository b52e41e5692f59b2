use crate::{DecoderConfig, Linear, Parameter, ParameterVisitor};
use afterthought_kernels as kernels;
use afterthought_kernels::AttentionSpec;
use burn::tensor::Tensor;
use std::sync::Arc;

/// One pre-norm transformer block: attention, then a gated feed-forward layer.
#[derive(Clone, Debug)]
pub(crate) struct Layer {
    pub(crate) input_norm: Parameter<1>,
    pub(crate) q: Linear,
    pub(crate) k: Linear,
    pub(crate) v: Linear,
    pub(crate) o: Linear,
    /// Per-head norms of queries and keys.
    pub(crate) qk_norm: Option<[Parameter<1>; 2]>,
    pub(crate) feed_forward_norm: Parameter<1>,
    pub(crate) gate: Linear,
    pub(crate) up: Linear,
    pub(crate) down: Linear,
}

impl Layer {
    /// `[positions, hidden]` to the same; with `at`, only the rows at those flat positions come
    /// out, and everything after the attention is computed for them alone.
    pub(crate) fn forward(
        &self,
        x: Tensor<2>,
        spec: AttentionSpec,
        config: &DecoderConfig,
        at: Option<Arc<[u32]>>,
    ) -> Tensor<2> {
        let (eps, layout) = (config.rms_norm_eps, spec.layout);
        let h = kernels::rms_norm(x.clone(), self.input_norm.value.clone(), eps);
        let weights = [&self.q, &self.k, &self.v].map(|linear| linear.weight.value.clone());
        let mut qkv = kernels::linear_triple(h, weights);
        if let [Some(q), Some(k), Some(v)] = [&self.q.bias, &self.k.bias, &self.v.bias] {
            let biases = [q, k, v].map(|bias| bias.value.clone()).to_vec();
            qkv = qkv + Tensor::cat(biases, 0).unsqueeze();
        }
        if let Some(norms) = &self.qk_norm {
            let norms = norms.each_ref().map(|norm| norm.value.clone());
            qkv = kernels::qk_norm(qkv, norms, layout, eps);
        }
        let attended = kernels::attention(qkv, spec);
        let (x, attended) = match at {
            Some(at) => (kernels::embedding(x, at.clone()), kernels::embedding(attended, at)),
            None => (x, attended),
        };
        let x = kernels::linear_add(attended, self.o.weight.value.clone(), x);
        let h = kernels::rms_norm(x.clone(), self.feed_forward_norm.value.clone(), eps);
        let weights = [&self.gate, &self.up].map(|linear| linear.weight.value.clone());
        let h = kernels::swiglu(kernels::linear_pair(h, weights));
        kernels::linear_add(h, self.down.weight.value.clone(), x)
    }

    pub(crate) fn visit<V: ParameterVisitor>(&mut self, visitor: &mut V) {
        visitor.visit(&mut self.input_norm);
        for linear in [&mut self.q, &mut self.k, &mut self.v, &mut self.o] {
            linear.visit(visitor);
        }
        if let Some(norms) = &mut self.qk_norm {
            for norm in norms {
                visitor.visit(norm);
            }
        }
        visitor.visit(&mut self.feed_forward_norm);
        for linear in [&mut self.gate, &mut self.up, &mut self.down] {
            linear.visit(visitor);
        }
    }
}
