use afterthought_models::family::TensorNames;
use afterthought_models::{Decoder, Linear, ParameterVisitor};

/// A model whose linear layers an adapter may wrap.
pub trait Adaptable: Clone {
    /// The layers, in a fixed order.
    fn linears_mut(&mut self) -> Vec<&mut Linear>;

    /// Their paths in the same order, in the words of the model's files and with the prefix of the
    /// class that has a head, as PEFT sees them.
    fn linear_paths(&self) -> Vec<String>;

    /// The path of the output head, which is not among them.
    fn head_path(&self) -> String;

    /// Visits every parameter, adapters' included, in a fixed order.
    fn visit<V: ParameterVisitor>(&mut self, visitor: &mut V);

    /// The same model with its adapters disabled; it shares the weights.
    fn without_adapters(&self) -> Self;
}

impl Adaptable for Decoder {
    fn linears_mut(&mut self) -> Vec<&mut Linear> {
        Self::linears_mut(self)
    }

    fn linear_paths(&self) -> Vec<String> {
        let names = peft_names(self);
        let mut copy = self.clone();
        copy.linears_mut().iter().map(|linear| names.in_file(linear.path())).collect()
    }

    fn head_path(&self) -> String {
        peft_names(self).in_file("lm_head")
    }

    fn visit<V: ParameterVisitor>(&mut self, visitor: &mut V) {
        Self::visit(self, visitor);
    }

    fn without_adapters(&self) -> Self {
        Self::without_adapters(self)
    }
}

/// Files of a model without a head lack the prefix, which modules of the whole model have.
fn peft_names(decoder: &Decoder) -> TensorNames {
    TensorNames { prefixed: true, ..decoder.config().tensor_names }
}
