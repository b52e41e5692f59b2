use afterthought_kernels as kernels;
use burn::tensor::Tensor;

/// One weight: its name in the model's files, its values, and whether training may change it.
#[derive(Clone, Debug)]
pub struct Parameter<const D: usize> {
    /// Name as in the safetensors file.
    pub name: String,
    /// The values; tracked by autodiff only inside [`crate::Decoder::tracked`] copies.
    pub value: Tensor<D>,
    /// Frozen weights get no gradient.
    pub trainable: bool,
}

impl<const D: usize> Parameter<D> {
    /// A trainable parameter.
    pub fn new(name: impl Into<String>, value: Tensor<D>) -> Self {
        Self { name: name.into(), value, trainable: true }
    }
}

/// Something done to every parameter of a model, in a fixed order.
pub trait ParameterVisitor {
    /// Called once a parameter.
    fn visit<const D: usize>(&mut self, parameter: &mut Parameter<D>);
}

/// Marks trainable parameters as leaves of the autodiff graph.
pub(crate) struct Track;

impl ParameterVisitor for Track {
    fn visit<const D: usize>(&mut self, parameter: &mut Parameter<D>) {
        let value = parameter.value.clone().autodiff();
        parameter.value = if parameter.trainable { value.require_grad() } else { value };
    }
}

/// Counts values.
#[derive(Default)]
pub(crate) struct Count {
    pub(crate) total: usize,
    pub(crate) trainable: usize,
}

impl ParameterVisitor for Count {
    fn visit<const D: usize>(&mut self, parameter: &mut Parameter<D>) {
        let count = parameter.value.shape().num_elements();
        self.total += count;
        self.trainable += if parameter.trainable { count } else { 0 };
    }
}

/// Stores frozen matrices in bf16 where that changes no value.
pub(crate) struct Narrow;

impl ParameterVisitor for Narrow {
    fn visit<const D: usize>(&mut self, parameter: &mut Parameter<D>) {
        if D != 2 || parameter.trainable {
            return;
        }
        // Taken out, so that the f32 values are freed before the next matrix.
        let empty = Tensor::zeros([0; D], &parameter.value.device());
        let shape = parameter.value.dims();
        let matrix = std::mem::replace(&mut parameter.value, empty).reshape([shape[0], shape[1]]);
        parameter.value = kernels::narrowed(matrix).reshape(shape);
    }
}

/// Freezes or unfreezes by name. Trained weights are f32.
pub(crate) struct SetTrainable<'a>(pub(crate) &'a dyn Fn(&str) -> bool);

impl ParameterVisitor for SetTrainable<'_> {
    fn visit<const D: usize>(&mut self, parameter: &mut Parameter<D>) {
        parameter.trainable = (self.0)(&parameter.name);
        if parameter.trainable {
            parameter.value = kernels::widened(parameter.value.clone());
        }
    }
}

/// What every model can do with its parameters, given `embedding` and `visit`.
macro_rules! parameter_methods {
    () => {
        /// The device that holds the weights, without autodiff.
        pub fn device(&self) -> burn::tensor::Device {
            self.embedding.value.device().inner()
        }

        /// A copy whose trainable parameters are leaves of the autodiff graph: run the forward pass on
        /// it, take gradients from it, drop it before updating the original.
        pub fn tracked(&self) -> Self {
            let mut copy = self.clone();
            copy.visit(&mut $crate::parameter::Track);
            copy
        }

        /// Lets training change exactly the parameters whose name satisfies `trainable`.
        pub fn set_trainable(&mut self, trainable: &dyn Fn(&str) -> bool) {
            self.visit(&mut $crate::parameter::SetTrainable(trainable));
        }

        /// Number of weights and how many of them are trainable.
        pub fn parameter_counts(&self) -> (usize, usize) {
            let mut count = $crate::parameter::Count::default();
            self.clone().visit(&mut count);
            (count.total, count.trainable)
        }
    };
}
pub(crate) use parameter_methods;
