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
        let eps = config.rms_norm_eps;
        let h = kernels::rms_norm(x.clone(), self.input_norm.value.clone(), eps);
        let (q, k) = (self.q.forward(h.clone()), self.k.forward(h.clone()));
        let v = self.v.forward(h);
        let (q, k) = match &self.qk_norm {
            Some([q_norm, k_norm]) => (head_norm(q, q_norm, eps), head_norm(k, k_norm, eps)),
            None => (q, k),
        };
        let attended = kernels::attention(q, k, v, spec);
        let (x, attended) = match at {
            Some(at) => (kernels::embedding(x, at.clone()), kernels::embedding(attended, at)),
            None => (x, attended),
        };
        let x = x + self.o.forward(attended);
        let h = kernels::rms_norm(x.clone(), self.feed_forward_norm.value.clone(), eps);
        let h = kernels::swiglu(self.gate.forward(h.clone()), self.up.forward(h));
        x + self.down.forward(h)
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

/// RMSNorm over each head of `[positions, heads * head_dim]`.
fn head_norm(x: Tensor<2>, norm: &Parameter<1>, eps: f32) -> Tensor<2> {
    let [positions, width] = x.dims();
    let [head_dim] = norm.value.dims();
    let heads = x.reshape([positions * (width / head_dim), head_dim]);
    kernels::rms_norm(heads, norm.value.clone(), eps).reshape([positions, width])
}
