use crate::{Parameter, ParameterVisitor};
use burn::tensor::Tensor;

/// The norm before an attention, and its projections; none has a bias.
#[derive(Clone, Debug)]
pub(super) struct Attention {
    pub(super) norm: Parameter<1>,
    pub(super) q: Parameter<2>,
    pub(super) k: Parameter<2>,
    pub(super) v: Parameter<2>,
    pub(super) o: Parameter<2>,
}

impl Attention {
    pub(super) fn weights(&self) -> [Tensor<2>; 3] {
        [&self.q, &self.k, &self.v].map(|weight| weight.value.clone())
    }

    pub(super) fn visit<V: ParameterVisitor>(&mut self, visitor: &mut V) {
        visitor.visit(&mut self.norm);
        for weight in [&mut self.q, &mut self.k, &mut self.v, &mut self.o] {
            visitor.visit(weight);
        }
    }
}
