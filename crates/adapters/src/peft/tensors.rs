//! `adapter_model.safetensors`: `<module path>.lora_A.weight` (`[rank, in]`) and
//! `<module path>.lora_B.weight` (`[out, rank]`) after PEFT's prefix.

use crate::Error;
use half::{bf16, f16};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

/// Key of the file's metadata under which we keep the hash of the base weights; PEFT ignores it.
const BASE_HASH: &str = "afterthought.base_blake3";

/// A tensor of an adapter file.
pub(super) struct Stored {
    pub(super) shape: [usize; 2],
    pub(super) values: Vec<f32>,
    pub(super) dtype: Dtype,
}

/// An adapter file.
#[derive(Default)]
pub(super) struct Contents {
    /// By canonical name.
    pub(super) tensors: BTreeMap<String, Stored>,
    pub(super) base_hash: Option<String>,
}

/// The name without an adapter's own name, which old files have in it
/// (`….lora_A.default.weight`).
fn canonical(name: &str) -> String {
    let strip = |factor: &str| {
        let (path, rest) = name.rsplit_once(factor)?;
        let adapter = rest.strip_suffix(".weight")?;
        (!adapter.contains('.')).then(|| format!("{path}{}.weight", factor.trim_end_matches('.')))
    };
    strip(".lora_A.").or_else(|| strip(".lora_B.")).unwrap_or_else(|| name.to_owned())
}

/// Reads a file whose tensors must be exactly `expected`, by canonical name.
///
/// # Errors
/// [`Error::Io`], [`Error::Safetensors`], and [`Error::Tensors`] listing every tensor that is
/// missing, unexpected, twice there, of another shape or type, or not finite.
pub(super) fn read(
    path: &Path,
    expected: &BTreeMap<String, [usize; 2]>,
) -> Result<Contents, Error> {
    let bytes =
        fs::read(path).map_err(|source| Error::Io { action: "read", path: path.into(), source })?;
    let as_error = |source| Error::Safetensors { path: path.into(), source };
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(as_error)?;
    let file = SafeTensors::deserialize(&bytes).map_err(as_error)?;
    let base_hash = header.metadata().as_ref().and_then(|entries| entries.get(BASE_HASH).cloned());
    let mut names = file.names();
    names.sort_unstable();
    let mut problems = Vec::new();
    let mut found = BTreeMap::new();
    for name in names {
        let key = canonical(name);
        match expected.contains_key(&key) {
            false => problems.push(format!("unexpected {name}{}", reason(name))),
            true if found.insert(key, name).is_some() => problems.push(format!("{name} twice")),
            true => {}
        }
    }
    let mut contents = Contents { tensors: BTreeMap::new(), base_hash };
    for (key, shape) in expected {
        let Some(name) = found.get(key) else {
            problems.push(format!("missing {key}, expected shape {shape:?}"));
            continue;
        };
        match stored(&file.tensor(name).map_err(as_error)?, *shape) {
            Ok(stored) => drop(contents.tensors.insert(key.clone(), stored)),
            Err(problem) => problems.push(format!("{name} {problem}")),
        }
    }
    match problems.is_empty() {
        true => Ok(contents),
        false => Err(Error::Tensors { path: path.into(), problems }),
    }
}

/// The hash of the base weights in a file's metadata, if there is one.
///
/// # Errors
/// [`Error::Io`], [`Error::Safetensors`].
pub(super) fn base_hash(path: &Path) -> Result<Option<String>, Error> {
    let as_error = |source| Error::Safetensors { path: path.into(), source };
    let bytes =
        fs::read(path).map_err(|source| Error::Io { action: "read", path: path.into(), source })?;
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(as_error)?;
    Ok(header.metadata().as_ref().and_then(|entries| entries.get(BASE_HASH).cloned()))
}

/// Why a tensor has no place, where its name tells.
fn reason(name: &str) -> &'static str {
    match name {
        _ if name.contains("lora_embedding_") => ": adapters of embeddings are not supported",
        _ if name.contains("lora_magnitude_vector") => ": DoRA is not supported",
        _ if name.contains(".lora_") => ": no targeted linear layer has this path",
        _ => ": not a low-rank factor",
    }
}

fn stored(view: &TensorView<'_>, shape: [usize; 2]) -> Result<Stored, String> {
    if view.shape() != shape {
        return Err(format!("has shape {:?}, expected {shape:?}", view.shape()));
    }
    let data = view.data();
    let halves = || data.as_chunks::<2>().0.iter().copied();
    let values: Vec<f32> = match view.dtype() {
        Dtype::F32 => data.as_chunks::<4>().0.iter().copied().map(f32::from_le_bytes).collect(),
        Dtype::F16 => halves().map(|bytes| f16::from_le_bytes(bytes).to_f32()).collect(),
        Dtype::BF16 => halves().map(|bytes| bf16::from_le_bytes(bytes).to_f32()).collect(),
        other => return Err(format!("has type {other:?}, expected F32, F16 or BF16")),
    };
    match values.iter().all(|value| value.is_finite()) {
        true => Ok(Stored { shape, values, dtype: view.dtype() }),
        false => Err("holds values that are not finite".to_owned()),
    }
}

/// Writes a file. A tensor keeps its type where that changes no value, and is f32 otherwise.
///
/// # Errors
/// [`Error::Io`], [`Error::Safetensors`].
pub(super) fn write(path: &Path, contents: &Contents) -> Result<(), Error> {
    let as_error = |source| Error::Safetensors { path: path.into(), source };
    let encoded: Vec<_> = contents
        .tensors
        .iter()
        .map(|(name, stored)| (name, stored.shape, encode(&stored.values, stored.dtype)))
        .collect();
    let mut views = Vec::with_capacity(encoded.len());
    for (name, shape, (dtype, bytes)) in &encoded {
        let view = TensorView::new(*dtype, shape.to_vec(), bytes).map_err(as_error)?;
        views.push((name.as_str(), view));
    }
    let mut metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    metadata.extend(contents.base_hash.clone().map(|hash| (BASE_HASH.to_owned(), hash)));
    let mut bytes = safetensors::serialize(views, Some(metadata)).map_err(as_error)?;
    sort_metadata(&mut bytes);
    fs::write(path, bytes).map_err(|source| Error::Io {
        action: "write",
        path: path.into(),
        source,
    })
}

/// Puts the entries of the metadata in order, which [`safetensors::serialize`] takes from a hash map:
/// the same adapter shall be the same file. The header keeps its length.
fn sort_metadata(file: &mut [u8]) {
    let Some((length, rest)) = file.split_first_chunk_mut::<8>() else { return };
    let Some(header) = rest.get_mut(..u64::from_le_bytes(*length) as usize) else { return };
    let Ok(mut json) = serde_json::from_slice::<Map<String, Value>>(header) else { return };
    if let Some(Value::Object(metadata)) = json.get_mut("__metadata__") {
        metadata.sort_keys();
    }
    let text = Value::Object(json).to_string();
    if text.len() <= header.len() {
        header.fill(b' ');
        header[..text.len()].copy_from_slice(text.as_bytes());
    }
}

fn encode(values: &[f32], dtype: Dtype) -> (Dtype, Vec<u8>) {
    let exact = |narrow: fn(f32) -> f32| {
        values.iter().all(|value| narrow(*value).to_bits() == value.to_bits())
    };
    match dtype {
        Dtype::BF16 if exact(|value| bf16::from_f32(value).to_f32()) => {
            (dtype, values.iter().flat_map(|v| bf16::from_f32(*v).to_le_bytes()).collect())
        }
        Dtype::F16 if exact(|value| f16::from_f32(value).to_f32()) => {
            (dtype, values.iter().flat_map(|v| f16::from_f32(*v).to_le_bytes()).collect())
        }
        _ => (Dtype::F32, values.iter().flat_map(|v| v.to_le_bytes()).collect()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_same_adapter_is_the_same_file() {
        let write = || {
            let mut contents = Contents { base_hash: Some("abc".into()), ..Contents::default() };
            let stored = Stored { shape: [1, 2], values: vec![1.0, 2.0], dtype: Dtype::F32 };
            contents.tensors.insert("a".into(), stored);
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("f");
            super::write(&path, &contents).unwrap();
            fs::read(path).unwrap()
        };
        let first = write();
        // A hash map has another order every time.
        assert!((0..32).all(|_| write() == first));
        let read = SafeTensors::deserialize(&first).unwrap();
        assert_eq!(read.tensor("a").unwrap().data()[4..], 2.0f32.to_le_bytes());
    }

    #[test]
    fn old_names_lose_the_adapter() {
        for (name, expected) in [
            ("m.q.lora_A.default.weight", "m.q.lora_A.weight"),
            ("m.q.lora_B.weight", "m.q.lora_B.weight"),
            ("m.q.lora_A.a.b.weight", "m.q.lora_A.a.b.weight"),
            ("m.q.weight", "m.q.weight"),
        ] {
            assert_eq!(canonical(name), expected);
        }
    }

    #[test]
    fn types_are_kept_where_they_hold_the_values() {
        let bytes = |values: &[f32], dtype| encode(values, dtype).0;
        assert_eq!(bytes(&[1.5, -0.0], Dtype::BF16), Dtype::BF16);
        assert_eq!(bytes(&[1.001], Dtype::BF16), Dtype::F32);
        assert_eq!(bytes(&[1e-30], Dtype::F16), Dtype::F32);
        assert_eq!(bytes(&[0.5], Dtype::F16), Dtype::F16);
    }
}
