use super::{read_config, read_inference_weights, read_weights, write_config, write_weights};
use crate::inference::InferenceModel;
use crate::{Decoder, Error};
use burn::tensor::Device;
use std::fs;
use std::path::Path;

/// Name of the weights file of a model that fits into one.
const WEIGHTS: &str = "model.safetensors";

/// Loads a decoder from a directory of `config.json` and `model.safetensors`.
///
/// # Errors
/// Those of [`read_config`] and [`read_weights`].
pub fn load(directory: &Path, device: &Device) -> Result<Decoder, Error> {
    let config = read_config(&directory.join("config.json"))?;
    read_weights(config, &directory.join(WEIGHTS), device)
}

/// [`load`] for inference: weights packed once, at the process's precision, without an f32 copy of
/// the whole model.
///
/// # Errors
/// Those of [`read_config`] and [`read_inference_weights`].
pub fn load_inference(directory: &Path) -> Result<InferenceModel, Error> {
    let config = read_config(&directory.join("config.json"))?;
    read_inference_weights(config, &directory.join(WEIGHTS))
}

/// Writes a decoder as a directory, `tokenizer_json` included, so that it appears whole or not at
/// all: it is written beside its final name and renamed. Nothing may stand at that name yet.
///
/// # Errors
/// [`Error::Io`], also when `directory` exists.
pub fn save(decoder: &Decoder, tokenizer_json: &[u8], directory: &Path) -> Result<(), Error> {
    let io = |action, path: &Path| {
        let path = path.to_owned();
        move |source| Error::Io { action, path, source }
    };
    if directory.exists() {
        let source = std::io::ErrorKind::AlreadyExists.into();
        return Err(Error::Io { action: "create", path: directory.into(), source });
    }
    let parent = match directory.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    fs::create_dir_all(parent).map_err(io("create", parent))?;
    let mut builder = tempfile::Builder::new();
    builder.prefix(".afterthought-model-");
    // Temporary directories are private by default; a model is an ordinary one (less the umask).
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
    let staging = builder.tempdir_in(parent).map_err(io("create a directory in", parent))?;
    write_config(decoder.config(), &staging.path().join("config.json"))?;
    write_weights(decoder, &staging.path().join(WEIGHTS))?;
    let tokenizer = staging.path().join("tokenizer.json");
    fs::write(&tokenizer, tokenizer_json).map_err(io("write", &tokenizer))?;
    for entry in fs::read_dir(staging.path()).map_err(io("read", staging.path()))? {
        let path = entry.map_err(io("read", staging.path()))?.path();
        let file = fs::File::open(&path).map_err(io("open", &path))?;
        file.sync_all().map_err(io("sync", &path))?;
    }
    let staged = staging.keep();
    fs::rename(&staged, directory).map_err(io("rename to", directory))
}
