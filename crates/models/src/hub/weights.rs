use crate::inference::InferenceModel;
use crate::{Decoder, DecoderConfig, Error, Parameter, ParameterVisitor, WeightSource};
use burn::tensor::Device;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

/// A tensor ready to be written: shape and little-endian f32 bytes.
type Stored = (Vec<usize>, Vec<u8>);

struct Collect {
    tensors: BTreeMap<String, Stored>,
    /// Reading a tensor back can only fail on a device error.
    failure: Option<String>,
}

impl ParameterVisitor for Collect {
    fn visit<const D: usize>(&mut self, parameter: &mut Parameter<D>) {
        let shape = parameter.value.dims().to_vec();
        match parameter.value.to_data().try_to_vec::<f32>() {
            Ok(values) => {
                let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
                self.tensors.insert(parameter.name.clone(), (shape, bytes));
            }
            Err(error) => self.failure = Some(format!("{}: {error:?}", parameter.name)),
        }
    }
}

/// Writes all weights as f32 into one safetensors file.
///
/// # Errors
/// [`Error::Io`] or [`Error::Safetensors`].
pub fn write_weights(decoder: &Decoder, path: &Path) -> Result<(), Error> {
    let mut collect = Collect { tensors: BTreeMap::new(), failure: None };
    decoder.clone().visit(&mut collect);
    if let Some(problem) = collect.failure {
        return Err(Error::Tensors { path: path.into(), problems: vec![problem] });
    }
    let as_error = |source| Error::Safetensors { path: path.into(), source };
    let mut views = Vec::with_capacity(collect.tensors.len());
    for (name, (shape, bytes)) in &collect.tensors {
        let view = TensorView::new(Dtype::F32, shape.clone(), bytes).map_err(as_error)?;
        views.push((name.as_str(), view));
    }
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let bytes = safetensors::serialize(views, Some(metadata)).map_err(as_error)?;
    fs::write(path, bytes).map_err(|source| Error::Io {
        action: "write",
        path: path.into(),
        source,
    })
}

/// Builds the decoder that `config` describes from a safetensors file of f32, f16 or bf16 tensors.
///
/// # Errors
/// [`Error::Tensors`] listing every missing, unexpected or misshapen tensor; [`Error::Io`],
/// [`Error::Safetensors`].
pub fn read_weights(config: DecoderConfig, path: &Path, device: &Device) -> Result<Decoder, Error> {
    from_weights(path, |weight| Decoder::build(config, device, weight))
}

/// [`read_weights`] for inference: one tensor at a time is turned into its packed form.
///
/// # Errors
/// Those of [`read_weights`].
pub fn read_inference_weights(config: DecoderConfig, path: &Path) -> Result<InferenceModel, Error> {
    from_weights(path, |weight| InferenceModel::build(config, weight))
}

/// What `build` makes of the tensors of a file, all of which it has to ask for.
fn from_weights<T>(
    path: &Path,
    build: impl FnOnce(&mut WeightSource<'_>) -> Result<T, Error>,
) -> Result<T, Error> {
    let bytes =
        fs::read(path).map_err(|source| Error::Io { action: "read", path: path.into(), source })?;
    let tensors = SafeTensors::deserialize(&bytes)
        .map_err(|source| Error::Safetensors { path: path.into(), source })?;
    let mut unused: Vec<String> = tensors.names().into_iter().map(ToOwned::to_owned).collect();
    unused.sort_unstable();
    let mut problems = Vec::new();
    let model = build(&mut |name, shape| {
        unused.retain(|other| other != name);
        match tensors.tensor(name) {
            Err(_) => problems.push(format!("missing {name}, expected shape {shape:?}")),
            Ok(view) if view.shape() != shape => {
                problems.push(format!("{name} has shape {:?}, expected {shape:?}", view.shape()))
            }
            Ok(view) => match to_f32(&view) {
                Some(values) => return Ok(values),
                None => problems
                    .push(format!("{name} has type {:?}, expected F32, F16 or BF16", view.dtype())),
            },
        }
        // A placeholder, so that all problems are found; the model is not handed out. Settings
        // that ask for more values than the file has bytes end the search: memory may not hold them.
        let count = shape.iter().try_fold(1usize, |count, size| count.checked_mul(*size));
        match count.filter(|count| *count <= bytes.len()) {
            Some(count) => Ok(vec![0.0; count]),
            None => Err(Error::Tensors { path: path.into(), problems: problems.clone() }),
        }
    })?;
    problems.extend(unused.iter().map(|name| format!("unexpected {name}")));
    if problems.is_empty() {
        Ok(model)
    } else {
        Err(Error::Tensors { path: path.into(), problems })
    }
}

fn to_f32(view: &TensorView<'_>) -> Option<Vec<f32>> {
    let data = view.data();
    match view.dtype() {
        Dtype::F32 => Some(
            data.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect(),
        ),
        Dtype::F16 => Some(
            data.chunks_exact(2).map(|b| half::f16::from_le_bytes([b[0], b[1]]).to_f32()).collect(),
        ),
        Dtype::BF16 => Some(
            data.chunks_exact(2)
                .map(|b| half::bf16::from_le_bytes([b[0], b[1]]).to_f32())
                .collect(),
        ),
        _ => None,
    }
}
