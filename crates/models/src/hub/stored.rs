//! Weights to safetensors files, one tensor at a time.

use super::header::StoredType;
use super::locate::{INDEX, WEIGHTS};
use crate::{Error, WeightValues};
use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use safetensors::tensor::{Dtype as FileDtype, View};
use serde_json::{Map, Value, json};
use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::fs;
use std::path::Path;

/// The type that weights are written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dtype {
    /// Single precision.
    F32,
    /// Half precision.
    F16,
    /// Brain floating point.
    Bf16,
}

impl Dtype {
    /// Its name in `config.json`.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "float32",
            Self::F16 => "float16",
            Self::Bf16 => "bfloat16",
        }
    }

    /// Bytes of a value.
    pub fn size(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
        }
    }

    /// The type of stored weights, unless they are no weights.
    pub fn of(stored: StoredType) -> Option<Self> {
        match stored {
            StoredType::F32 => Some(Self::F32),
            StoredType::F16 => Some(Self::F16),
            StoredType::Bf16 => Some(Self::Bf16),
            StoredType::Other(..) => None,
        }
    }

    fn in_file(self) -> FileDtype {
        match self {
            Self::F32 => FileDtype::F32,
            Self::F16 => FileDtype::F16,
            Self::Bf16 => FileDtype::BF16,
        }
    }
}

/// Most bytes of tensors in a file, but for tensors that are larger by themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardSize(pub usize);

impl Default for ShardSize {
    /// 5 GB.
    fn default() -> Self {
        Self(5_000_000_000)
    }
}

/// A tensor that is read when its turn comes.
pub struct TensorToWrite<'a> {
    /// Its name in the file.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// The type to write it as.
    pub dtype: Dtype,
    /// Gives its values.
    pub values: Box<dyn Fn() -> Result<WeightValues<'a>, Error> + 'a>,
}

impl TensorToWrite<'_> {
    /// Bytes of its values in the file.
    pub fn bytes(&self) -> usize {
        self.shape.iter().product::<usize>() * self.dtype.size()
    }
}

/// Writes tensors into one file of `directory`, or into several with an index if they exceed
/// `shard_size`, in their order. Returns how many files there are.
///
/// # Errors
/// [`Error::Io`] or [`Error::Safetensors`], and those of the tensors' values.
pub fn write_shards(
    directory: &Path,
    tensors: &[TensorToWrite<'_>],
    shard_size: ShardSize,
) -> Result<usize, Error> {
    let total: usize = tensors.iter().map(TensorToWrite::bytes).sum();
    let mut shards: Vec<Vec<&TensorToWrite<'_>>> = Vec::new();
    let mut room = 0;
    for tensor in tensors {
        match shards.last_mut() {
            Some(shard) if tensor.bytes() <= room => shard.push(tensor),
            _ => {
                shards.push(vec![tensor]);
                room = shard_size.0;
            }
        }
        room = room.saturating_sub(tensor.bytes());
    }
    if let [only] = &shards[..] {
        write_file(&directory.join(WEIGHTS), only)?;
        return Ok(1);
    }
    let mut map = Map::new();
    for (number, shard) in shards.iter().enumerate() {
        let name = format!("model-{:05}-of-{:05}.safetensors", number + 1, shards.len());
        write_file(&directory.join(&name), shard)?;
        for tensor in shard {
            map.insert(tensor.name.clone(), name.clone().into());
        }
    }
    map.sort_keys();
    let index = json!({ "metadata": { "total_size": total }, "weight_map": Value::Object(map) });
    let path = directory.join(INDEX);
    let text = serde_json::to_string_pretty(&index)
        .map_err(|source| Error::Json { path: path.clone(), source })?;
    fs::write(&path, text + "\n").map_err(|source| Error::Io { action: "write", path, source })?;
    Ok(shards.len())
}

/// Writes one f32 tensor `logits` as a safetensors file, which replaces what is there once it is
/// whole.
///
/// # Errors
/// [`Error::Safetensors`]; [`Error::Batch`] if the shape does not fit the values.
pub fn write_logits(path: &Path, logits: &[f32], shape: [usize; 3]) -> Result<(), Error> {
    let tensor = TensorToWrite {
        name: "logits".to_owned(),
        shape: shape.to_vec(),
        dtype: Dtype::F32,
        values: Box::new(move || Ok(WeightValues::F32(logits.into()))),
    };
    write_file(path, &[&tensor])
}

fn write_file(path: &Path, tensors: &[&TensorToWrite<'_>]) -> Result<(), Error> {
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let failure = RefCell::new(None);
    let views = tensors.iter().map(|tensor| (tensor.name.as_str(), Writing(tensor, &failure)));
    safetensors::serialize_to_file(views, Some(metadata), path)
        .map_err(|source| Error::Safetensors { path: path.into(), source })?;
    failure.into_inner().map_or(Ok(()), Err)
}

/// A tensor whose turn has come, and where to say that its values cannot be had.
struct Writing<'a, 'b>(&'a TensorToWrite<'b>, &'a RefCell<Option<Error>>);

impl View for Writing<'_, '_> {
    fn dtype(&self) -> FileDtype {
        self.0.dtype.in_file()
    }

    fn shape(&self) -> &[usize] {
        &self.0.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        let values = (self.0.values)().and_then(|values| {
            let (found, expected) = (values.len(), self.0.shape.iter().product::<usize>());
            match found == expected {
                true => Ok(values),
                false => Err(Error::Batch(format!(
                    "{} has {found} values instead of {expected}",
                    self.0.name
                ))),
            }
        });
        match values {
            Ok(values) => Cow::Owned(encode(values, self.0.dtype)),
            // The file is not kept then.
            Err(error) => {
                self.1.borrow_mut().get_or_insert(error);
                Cow::Owned(vec![0; self.data_len()])
            }
        }
    }

    fn data_len(&self) -> usize {
        self.0.bytes()
    }
}

/// Values as little-endian bytes; those of the type already are copied bit for bit.
fn encode(values: WeightValues<'_>, dtype: Dtype) -> Vec<u8> {
    match (values, dtype) {
        (WeightValues::F32(values), Dtype::F32) => {
            values.iter().flat_map(|value| value.to_le_bytes()).collect()
        }
        (WeightValues::F16(values), Dtype::F16) => {
            values.iter().flat_map(|value| value.to_le_bytes()).collect()
        }
        (WeightValues::Bf16(values), Dtype::Bf16) => {
            values.iter().flat_map(|value| value.to_le_bytes()).collect()
        }
        (values, Dtype::F32) => encode(values.into_f32().into(), dtype),
        (values, Dtype::F16) => {
            let mut rounded = vec![f16::ZERO; values.len()];
            rounded.convert_from_f32_slice(&values.into_f32());
            encode(WeightValues::F16(rounded.into()), dtype)
        }
        (values, Dtype::Bf16) => {
            let mut rounded = vec![bf16::ZERO; values.len()];
            rounded.convert_from_f32_slice(&values.into_f32());
            encode(WeightValues::Bf16(rounded.into()), dtype)
        }
    }
}
