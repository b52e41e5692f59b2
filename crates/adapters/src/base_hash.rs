use crate::{Adaptable, Error};
use afterthought_models::{Parameter, ParameterVisitor};
use burn::tensor::{DType, TensorData};
use half::bf16;

/// A hash of the weights under an adapter: BLAKE3 over name, shape and values of every parameter of
/// the model without adapters, in visiting order. Values count as f32, so that the precision in
/// which a model stores them does not matter.
///
/// # Errors
/// [`Error::Device`] if a weight cannot be read.
pub fn base_hash<M: Adaptable>(model: &M) -> Result<String, Error> {
    let mut visitor = Hash { hasher: blake3::Hasher::new(), failure: None };
    model.without_adapters().visit(&mut visitor);
    match visitor.failure {
        Some(failure) => Err(failure),
        None => Ok(visitor.hasher.finalize().to_hex().to_string()),
    }
}

struct Hash {
    hasher: blake3::Hasher,
    failure: Option<Error>,
}

impl ParameterVisitor for Hash {
    fn visit<const D: usize>(&mut self, parameter: &mut Parameter<D>) {
        self.hasher.update(parameter.name.as_bytes());
        for size in parameter.value.dims() {
            self.hasher.update(&(size as u64).to_le_bytes());
        }
        if let Err(problem) = self.values(&parameter.value.to_data()) {
            self.failure = Some(Error::Device { name: parameter.name.clone(), problem });
        }
    }
}

impl Hash {
    fn values(&mut self, data: &TensorData) -> Result<(), String> {
        let problem = |error| format!("{error:?}");
        match data.dtype() {
            DType::BF16 => {
                let values = data.as_slice::<bf16>().map_err(problem)?;
                self.update(values, |value| value.to_f32());
            }
            _ => self.update(data.as_slice::<f32>().map_err(problem)?, |value| *value),
        }
        Ok(())
    }

    /// A block of values at a time, because the hasher is faster on long inputs.
    fn update<T>(&mut self, values: &[T], widen: impl Fn(&T) -> f32) {
        let mut bytes = Vec::with_capacity(4 << 16);
        for block in values.chunks(1 << 16) {
            bytes.clear();
            bytes.extend(block.iter().flat_map(|value| widen(value).to_le_bytes()));
            self.hasher.update(&bytes);
        }
    }
}
