use crate::{Parameter, ParameterVisitor};
use afterthought_kernels as kernels;
use burn::tensor::Tensor;

/// `y = x W^T (+ b)`; `W` is `[out, in]`.
#[derive(Clone, Debug)]
pub struct Linear {
    /// `[out, in]`.
    pub weight: Parameter<2>,
    /// `[out]`.
    pub bias: Option<Parameter<1>>,
}

impl Linear {
    /// `[n, in]` to `[n, out]`.
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let y = kernels::linear(x, self.weight.value.clone());
        match &self.bias {
            Some(bias) => y + bias.value.clone().unsqueeze(),
            None => y,
        }
    }

    pub(crate) fn visit<V: ParameterVisitor>(&mut self, visitor: &mut V) {
        visitor.visit(&mut self.weight);
        if let Some(bias) = &mut self.bias {
            visitor.visit(bias);
        }
    }
}
