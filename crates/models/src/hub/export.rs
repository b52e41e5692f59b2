use super::checkpoint::Checkpoint;
use super::config_json::read_object;
use super::header::TensorEntry;
use super::load::{is_buffer, open_network};
use super::provenance::Provenance;
use super::save::in_new_directory;
use super::stored::{Dtype, ShardSize, TensorToWrite, write_shards};
use super::tensor_file::TensorFile;
use crate::family::t5;
use crate::{Error, Network, WeightValues};
use serde_json::{Map, Value};
use std::cell::Cell;
use std::fs;
use std::path::Path;

/// Files beside `config.json` and the weights that belong to a model.
pub const COMPANIONS: [&str; 14] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "tokenizer.model",
    "chat_template.jinja",
    "chat_template.json",
    "generation_config.json",
    Provenance::FILE,
    "LICENSE",
    "LICENSE.txt",
    "NOTICE",
];

/// What an export wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exported {
    /// Tensors.
    pub tensors: usize,
    /// Bytes of their values.
    pub bytes: usize,
    /// Weights files.
    pub files: usize,
    /// Files of the model directory that were not copied, and tensors that were not.
    pub left_out: Vec<String>,
}

/// Writes a copy of a model directory with its weights in one type, or each in its own if `dtype`
/// is `None`, in files of at most `shard_size`. Settings, names and companion files stay as they
/// are, `README.md` becomes `card`. It appears whole or not at all; memory holds a tensor at a time.
///
/// # Errors
/// Those of [`open_network`]; [`Error::Io`], also when `out` exists.
pub fn export(
    directory: &Path,
    out: &Path,
    dtype: Option<Dtype>,
    shard_size: ShardSize,
    card: &dyn Fn(&Network, &Checkpoint) -> String,
) -> Result<Exported, Error> {
    let (network, checkpoint) = open_network(directory)?;
    let directory = checkpoint.directory();
    let mut json = read_object(&directory.join("config.json"))?;
    if let Some(dtype) = dtype {
        set_dtype(&mut json, dtype);
    }
    let last = Cell::new(None);
    let entries: Vec<(&TensorFile, &TensorEntry)> = checkpoint
        .files()
        .iter()
        .flat_map(|file| file.tensors().iter().map(move |t| (file, t)))
        .collect();
    let tensors = entries.iter().filter(|(_, tensor)| !means_nothing(&tensor.name));
    let tensors = tensors.map(|&(file, tensor)| to_write(file, tensor, dtype, &last));
    let tensors = tensors.collect::<Result<Vec<_>, _>>()?;
    let mut exported = Exported {
        tensors: tensors.len(),
        bytes: tensors.iter().map(TensorToWrite::bytes).sum(),
        files: 0,
        left_out: left_out(directory, &entries)?,
    };
    exported.left_out.sort();
    in_new_directory(out, |staging| {
        write_json(&json, &staging.join("config.json"))?;
        for name in companions(directory)? {
            let (from, to) = (directory.join(&name), staging.join(&name));
            fs::copy(&from, &to).map_err(|source| Error::Io {
                action: "copy",
                path: from,
                source,
            })?;
        }
        let readme = staging.join("README.md");
        fs::write(&readme, card(&network, &checkpoint)).map_err(|source| Error::Io {
            action: "write",
            path: readme,
            source,
        })?;
        exported.files = write_shards(staging, &tensors, shard_size)?;
        Ok(())
    })?;
    Ok(exported)
}

/// Whether a tensor of old files is read by no version of the model.
fn means_nothing(name: &str) -> bool {
    is_buffer(name) || t5::is_unused(name)
}

fn to_write<'a>(
    file: &'a TensorFile,
    tensor: &'a TensorEntry,
    dtype: Option<Dtype>,
    last: &'a Cell<Option<(&'a TensorFile, &'a TensorEntry)>>,
) -> Result<TensorToWrite<'a>, Error> {
    let unreadable = move || Error::Tensors {
        path: file.path().to_owned(),
        problems: vec![format!("{} has type {}", tensor.name, tensor.dtype.name())],
    };
    let stored = Dtype::of(tensor.dtype).ok_or_else(unreadable)?;
    Ok(TensorToWrite {
        name: tensor.name.clone(),
        shape: tensor.shape.clone(),
        dtype: dtype.unwrap_or(stored),
        values: Box::new(move || -> Result<WeightValues<'a>, Error> {
            if let Some((file, before)) = last.replace(Some((file, tensor))) {
                file.release(before);
            }
            file.values(tensor).ok_or_else(unreadable)
        }),
    })
}

fn set_dtype(json: &mut Map<String, Value>, dtype: Dtype) {
    // `dtype` since transformers 5, `torch_dtype` before.
    let key = if json.contains_key("dtype") { "dtype" } else { "torch_dtype" };
    json.insert(key.into(), dtype.name().into());
}

fn write_json(json: &Map<String, Value>, path: &Path) -> Result<(), Error> {
    let text = serde_json::to_string_pretty(json)
        .map_err(|source| Error::Json { path: path.into(), source })?;
    fs::write(path, text + "\n").map_err(|source| Error::Io {
        action: "write",
        path: path.into(),
        source,
    })
}

fn names(directory: &Path) -> Result<Vec<String>, Error> {
    let entries = fs::read_dir(directory).map_err(|source| Error::Io {
        action: "read",
        path: directory.into(),
        source,
    })?;
    Ok(entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect())
}

/// Whether a file belongs to a model: the class of LLaDA and Dream comes with it.
fn is_companion(name: &str) -> bool {
    COMPANIONS.contains(&name) || name.ends_with(".py")
}

fn companions(directory: &Path) -> Result<Vec<String>, Error> {
    let mut names = names(directory)?;
    names.retain(|name| is_companion(name) && directory.join(name).is_file());
    Ok(names)
}

fn left_out(
    directory: &Path,
    entries: &[(&TensorFile, &TensorEntry)],
) -> Result<Vec<String>, Error> {
    let weights = |name: &str| name.ends_with(".safetensors") || name.ends_with(".index.json");
    let mut left: Vec<String> = names(directory)?;
    left.retain(|name| {
        !is_companion(name) && !weights(name) && name != "config.json" && name != "README.md"
    });
    let unused = entries.iter().filter(|(_, tensor)| means_nothing(&tensor.name));
    left.extend(unused.map(|(_, tensor)| format!("tensor {}", tensor.name)));
    Ok(left)
}
