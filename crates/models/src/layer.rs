use crate::dropout::{Dropout, DropoutKey};
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
        dropout: Option<DropoutKey>,
    ) -> Tensor<2> {
        let (eps, layout) = (config.rms_norm_eps, spec.layout);
        let width = x.dims()[0] / spec.lengths.len();
        let dropout_at = |positions| dropout.map(|key| Dropout { key, width, positions });
        let h = kernels::rms_norm(x.clone(), self.input_norm.value.clone(), eps);
        let weights = [&self.q, &self.k, &self.v].map(|linear| linear.weight.value.clone());
        let qkv = kernels::linear_triple(h.clone(), weights);
        let mut qkv = complete(qkv, h, &[&self.q, &self.k, &self.v], dropout_at(None));
        if let Some(norms) = &self.qk_norm {
            let norms = norms.each_ref().map(|norm| norm.value.clone());
            qkv = kernels::qk_norm(qkv, norms, layout, eps);
        }
        let attended = kernels::attention(qkv, spec);
        let (x, attended) = match &at {
            Some(at) => {
                (kernels::embedding(x, at.clone()), kernels::embedding(attended, at.clone()))
            }
            None => (x, attended),
        };
        let dropout = dropout_at(at.as_deref());
        let y = kernels::linear_add(attended.clone(), self.o.weight.value.clone(), x);
        let x = complete(y, attended, &[&self.o], dropout);
        let h = kernels::rms_norm(x.clone(), self.feed_forward_norm.value.clone(), eps);
        let weights = [&self.gate, &self.up].map(|linear| linear.weight.value.clone());
        let gate_up = kernels::linear_pair(h.clone(), weights);
        let h = kernels::swiglu(complete(gate_up, h, &[&self.gate, &self.up], dropout));
        let y = kernels::linear_add(h.clone(), self.down.weight.value.clone(), x);
        complete(y, h, &[&self.down], dropout)
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

    pub(crate) fn linears_mut(&mut self) -> [&mut Linear; 7] {
        let Self { q, k, v, o, gate, up, down, .. } = self;
        [q, k, v, o, gate, up, down]
    }
}

/// Adds to the products `y` of layers that share the input `x`, side by side, what else the layers
/// have: the terms of adapters, then biases.
fn complete(
    mut y: Tensor<2>,
    x: Tensor<2>,
    linears: &[&Linear],
    dropout: Option<Dropout<'_>>,
) -> Tensor<2> {
    let mut first = 0;
    for linear in linears {
        if let Some(term) = &linear.low_rank {
            y = term.add_to(y, x.clone(), first, dropout.as_ref());
        }
        first += linear.weight.value.dims()[0];
    }
    add_biases(y, linears)
}

/// Adds the biases of layers whose outputs stand side by side, if they have any.
fn add_biases(x: Tensor<2>, linears: &[&Linear]) -> Tensor<2> {
    let biases: Vec<_> = linears.iter().filter_map(|linear| linear.bias.as_ref()).collect();
    if biases.len() < linears.len() {
        return x;
    }
    let biases = biases.into_iter().map(|bias| bias.value.clone()).collect();
    x + Tensor::cat(biases, 0).unsqueeze()
}
