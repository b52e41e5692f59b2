use super::header::{StoredType, TensorEntry, parse_header};
use crate::{Error, WeightValues};
use afterthought_kernels::MappedFile;
use bytemuck::Pod;
use half::{bf16, f16};
use std::borrow::Cow;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// A safetensors file: its header checked, its data mapped and not read yet.
#[derive(Debug)]
pub struct TensorFile {
    path: PathBuf,
    map: MappedFile,
    tensors: Vec<TensorEntry>,
    by_name: HashMap<String, usize>,
}

impl TensorFile {
    /// Maps a file and checks its header.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Header`].
    pub fn open(path: &Path) -> Result<Self, Error> {
        let map = MappedFile::open(path).map_err(|source| Error::Io {
            action: "read",
            path: path.into(),
            source,
        })?;
        let tensors = parse_header(&map, map.len() as u64)
            .map_err(|source| Error::Header { path: path.into(), source })?;
        let names = tensors.iter().map(|tensor| tensor.name.clone());
        let by_name = names.zip(0..).collect();
        Ok(Self { path: path.into(), map, tensors, by_name })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes of the file.
    pub fn bytes(&self) -> usize {
        self.map.len()
    }

    /// Its tensors, in the order of their data.
    pub fn tensors(&self) -> &[TensorEntry] {
        &self.tensors
    }

    /// The tensor of a name.
    pub fn get(&self, name: &str) -> Option<&TensorEntry> {
        self.by_name.get(name).map(|index| &self.tensors[*index])
    }

    /// The bytes of a tensor, little-endian.
    pub fn data(&self, tensor: &TensorEntry) -> &[u8] {
        &self.map[tensor.range.clone()]
    }

    /// The values of a tensor, borrowed from the file if it is aligned; `None` for types that are
    /// no weights.
    pub fn values(&self, tensor: &TensorEntry) -> Option<WeightValues<'_>> {
        decode(tensor.dtype, self.data(tensor))
    }

    /// Gives back the memory of a tensor that has been read; it can be read again.
    pub fn release(&self, tensor: &TensorEntry) {
        self.map.release(tensor.range.clone());
    }
}

/// Little-endian bytes as values.
pub(super) fn decode(dtype: StoredType, bytes: &[u8]) -> Option<WeightValues<'_>> {
    Some(match dtype {
        StoredType::F32 => WeightValues::F32(cast(bytes, f32::from_le_bytes)),
        StoredType::F16 => WeightValues::F16(cast(bytes, f16::from_le_bytes)),
        StoredType::Bf16 => WeightValues::Bf16(cast(bytes, bf16::from_le_bytes)),
        StoredType::Other(..) => return None,
    })
}

fn cast<T: Pod, const N: usize>(bytes: &[u8], read: fn([u8; N]) -> T) -> Cow<'_, [T]> {
    match bytemuck::try_cast_slice(bytes) {
        Ok(values) if cfg!(target_endian = "little") => Cow::Borrowed(values),
        _ => Cow::Owned(bytes.as_chunks::<N>().0.iter().map(|chunk| read(*chunk)).collect()),
    }
}
