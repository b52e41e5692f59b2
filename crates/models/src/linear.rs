use crate::{LowRank, Parameter, ParameterVisitor};
use afterthought_kernels as kernels;
use burn::tensor::Tensor;

/// `y = x W^T (+ b)`, plus the term of an adapter if there is one; `W` is `[out, in]`.
#[derive(Clone, Debug)]
pub struct Linear {
    /// `[out, in]`.
    pub weight: Parameter<2>,
    /// `[out]`.
    pub bias: Option<Parameter<1>>,
    /// A low-rank adapter.
    pub low_rank: Option<LowRank>,
}

impl Linear {
    /// The path of the module: the weight's name without `.weight`.
    pub fn path(&self) -> &str {
        self.weight.name.strip_suffix(".weight").unwrap_or(&self.weight.name)
    }

    /// The weight in f32 with the adapter's term added: `x` times its transpose is what the layer
    /// gives without dropout, but for the bias.
    pub fn merged_weight(&self) -> Tensor<2> {
        let weight = kernels::widened(self.weight.value.clone());
        match &self.low_rank {
            Some(term) => weight + term.delta(),
            None => weight,
        }
    }

    pub(crate) fn visit<V: ParameterVisitor>(&mut self, visitor: &mut V) {
        visitor.visit(&mut self.weight);
        if let Some(bias) = &mut self.bias {
            visitor.visit(bias);
        }
        if let Some(term) = &mut self.low_rank {
            visitor.visit(&mut term.a);
            visitor.visit(&mut term.b);
        }
    }
}
