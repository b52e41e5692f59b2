//! What a learner is made of beside its settings, as files: enough to go on bit by bit.

use crate::{Error, Learner};
use afterthought_models::{Parameter, ParameterVisitor};
use burn::tensor::{Tensor, TensorData};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use std::collections::HashMap;

/// Trainable weights and optimiser state, each a safetensors file of f32.
///
/// Frozen weights are not among them: they are those of the model that training started from.
/// Moments are called as in PyTorch's AdamW, `<parameter>.exp_avg` and `<parameter>.exp_avg_sq`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LearnerState {
    /// The trainable weights, by name.
    pub weights: Vec<u8>,
    /// The moments; no tensors before the first update.
    pub optimizer: Vec<u8>,
    /// Updates taken.
    pub updates: usize,
}

const MOMENTS: [&str; 2] = ["exp_avg", "exp_avg_sq"];

/// Tensors by name: shape and values.
type Named = Vec<(String, Vec<usize>, Vec<f32>)>;

impl Learner {
    /// The state as it stands.
    ///
    /// # Errors
    /// [`Error::NonFinite`] if a weight or moment is not a number: such a state is not worth
    /// keeping, and must not replace one that is. [`Error::Device`].
    pub fn state(&self) -> Result<LearnerState, Error> {
        let mut weights = Weights::default();
        self.decoder().clone().visit(&mut weights);
        let weights = weights.finish()?;
        let mut moments = Vec::new();
        for (kind, tensors) in MOMENTS.iter().zip(self.moments().into_iter().flatten()) {
            for ((name, shape, _), tensor) in weights.iter().zip(tensors) {
                moments.push((format!("{name}.{kind}"), shape.clone(), read(tensor.clone())?));
            }
        }
        for (name, _, values) in weights.iter().chain(&moments) {
            if let Some(value) = values.iter().find(|value| !value.is_finite()) {
                let what = if name.contains(".exp_avg") { "a moment" } else { "a weight" };
                return Err(Error::NonFinite { what, value: (*value).into(), step: self.step() });
            }
        }
        Ok(LearnerState {
            weights: file(&weights)?,
            optimizer: file(&moments)?,
            updates: self.step(),
        })
    }

    /// Takes over a state of the same model.
    ///
    /// # Errors
    /// [`Error::State`] if its tensors are not those of the trainable weights.
    pub fn restore(&mut self, state: &LearnerState) -> Result<(), Error> {
        let mut weights = Tensors::read("weights", &state.weights)?;
        let mut moments = Tensors::read("optimizer", &state.optimizer)?;
        let untouched = moments.0.is_empty();
        if untouched != (state.updates == 0) {
            let problem = format!("{} updates and {} moments", state.updates, moments.0.len());
            return Err(Error::State { file: "optimizer", problem });
        }
        let mut restore = Restore {
            weights: &mut weights,
            moments: (!untouched).then_some(&mut moments),
            flat: [Vec::new(), Vec::new()],
            failed: None,
        };
        let mut decoder = self.decoder().clone();
        decoder.visit(&mut restore);
        let (flat, failed) = (restore.flat, restore.failed);
        if let Some(error) = failed {
            return Err(error);
        }
        weights.finish("weights")?;
        moments.finish("optimizer")?;
        self.replace(decoder, (!untouched).then_some(flat), state.updates);
        Ok(())
    }
}

/// Reads the trainable parameters.
#[derive(Default)]
struct Weights {
    read: Named,
    failed: Option<Error>,
}

impl Weights {
    fn finish(self) -> Result<Named, Error> {
        match self.failed {
            Some(error) => Err(error),
            None => Ok(self.read),
        }
    }
}

impl ParameterVisitor for Weights {
    fn visit<const D: usize>(&mut self, parameter: &mut Parameter<D>) {
        if !parameter.trainable {
            return;
        }
        let shape = parameter.value.dims().to_vec();
        let count = shape.iter().product::<usize>();
        match read(parameter.value.clone().reshape([count])) {
            Ok(values) => self.read.push((parameter.name.clone(), shape, values)),
            Err(error) => self.failed = Some(error),
        }
    }
}

fn read(tensor: Tensor<1>) -> Result<Vec<f32>, Error> {
    crate::estimator::to_host(tensor)
}

fn file(tensors: &Named) -> Result<Vec<u8>, Error> {
    let views = tensors.iter().map(|(name, shape, values)| {
        let bytes = bytemuck::cast_slice(values);
        let view = TensorView::new(Dtype::F32, shape.clone(), bytes).map_err(unwritten)?;
        Ok((name.as_str(), view))
    });
    let views = views.collect::<Result<Vec<_>, Error>>()?;
    safetensors::serialize(views, None).map_err(unwritten)
}

fn unwritten(error: safetensors::SafeTensorError) -> Error {
    Error::State { file: "weights", problem: format!("cannot be written: {error}") }
}

/// Tensors of a file that nobody has asked for yet.
struct Tensors(HashMap<String, (Vec<usize>, Vec<f32>)>);

impl Tensors {
    fn read(file: &'static str, bytes: &[u8]) -> Result<Self, Error> {
        let fail = |problem: String| Error::State { file, problem };
        let tensors = SafeTensors::deserialize(bytes).map_err(|error| fail(error.to_string()))?;
        let mut all = HashMap::new();
        for (name, view) in tensors.iter() {
            if view.dtype() != Dtype::F32 {
                return Err(fail(format!("{name} is {:?}, expected F32", view.dtype())));
            }
            let values = view.data().as_chunks::<4>().0.iter();
            let values = values.map(|bytes| f32::from_le_bytes(*bytes)).collect();
            all.insert(name.to_owned(), (view.shape().to_vec(), values));
        }
        Ok(Self(all))
    }

    fn take(&mut self, file: &'static str, name: &str, shape: &[usize]) -> Result<Vec<f32>, Error> {
        match self.0.remove(name) {
            Some((found, values)) if found == shape => Ok(values),
            Some((found, _)) => {
                let problem = format!("{name} has the shape {found:?}, expected {shape:?}");
                Err(Error::State { file, problem })
            }
            None => Err(Error::State { file, problem: format!("{name} is missing") }),
        }
    }

    fn finish(self, file: &'static str) -> Result<(), Error> {
        match self.0.into_keys().min() {
            None => Ok(()),
            Some(name) => {
                let problem = format!("{name} is not a trainable weight of this model");
                Err(Error::State { file, problem })
            }
        }
    }
}

struct Restore<'a> {
    weights: &'a mut Tensors,
    moments: Option<&'a mut Tensors>,
    flat: [Vec<Tensor<1>>; 2],
    failed: Option<Error>,
}

impl Restore<'_> {
    fn parameter<const D: usize>(&mut self, parameter: &mut Parameter<D>) -> Result<(), Error> {
        let (shape, device) = (parameter.value.dims(), parameter.value.device());
        let values = self.weights.take("weights", &parameter.name, &shape)?;
        let count = values.len();
        if let Some(moments) = &mut self.moments {
            for (kind, flat) in MOMENTS.iter().zip(&mut self.flat) {
                let name = format!("{}.{kind}", parameter.name);
                let values = moments.take("optimizer", &name, &shape)?;
                flat.push(Tensor::from_data(TensorData::new(values, [count]), &device));
            }
        }
        parameter.value = Tensor::from_data(TensorData::new(values, shape), &device);
        Ok(())
    }
}

impl ParameterVisitor for Restore<'_> {
    fn visit<const D: usize>(&mut self, parameter: &mut Parameter<D>) {
        if parameter.trainable && self.failed.is_none() {
            self.failed = self.parameter(parameter).err();
        }
    }
}
