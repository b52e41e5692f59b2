use crate::{Parameter, ParameterVisitor};

/// `y = x W^T (+ b)`; `W` is `[out, in]`.
#[derive(Clone, Debug)]
pub struct Linear {
    /// `[out, in]`.
    pub weight: Parameter<2>,
    /// `[out]`.
    pub bias: Option<Parameter<1>>,
}

impl Linear {
    pub(crate) fn visit<V: ParameterVisitor>(&mut self, visitor: &mut V) {
        visitor.visit(&mut self.weight);
        if let Some(bias) = &mut self.bias {
            visitor.visit(bias);
        }
    }
}
