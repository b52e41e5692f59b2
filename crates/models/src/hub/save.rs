use super::config_json::write_config;
use super::stored::{Dtype, ShardSize, TensorToWrite, write_shards};
use crate::{Decoder, Error, Parameter, ParameterVisitor, WeightValues};
use burn::tensor::Tensor;
use serde_json::{Map, Value};
use std::fs;
use std::path::Path;

/// How a model is written.
#[derive(Clone, Copy, Debug)]
pub struct SaveOptions<'a> {
    /// The type of its weights in the file.
    pub dtype: Dtype,
    /// Most bytes of a weights file.
    pub shard_size: ShardSize,
    /// The `config.json` that the model came with: keys that we do not write are kept.
    pub base: Option<&'a Map<String, Value>>,
    /// Further files, by name: `tokenizer.json`, `README.md` ...
    pub files: &'a [(&'a str, &'a [u8])],
}

impl Default for SaveOptions<'_> {
    fn default() -> Self {
        Self { dtype: Dtype::F32, shard_size: ShardSize::default(), base: None, files: &[] }
    }
}

/// Writes a decoder as a directory in f32, `tokenizer_json` included; see [`save_with`].
///
/// # Errors
/// Those of [`save_with`].
pub fn save(decoder: &Decoder, tokenizer_json: &[u8], directory: &Path) -> Result<(), Error> {
    let files = [("tokenizer.json", tokenizer_json)];
    save_with(decoder, SaveOptions { files: &files, ..SaveOptions::default() }, directory)
}

/// Writes a decoder as a directory in its family's layout and names, so that it appears whole or
/// not at all. Nothing may stand at that name yet.
///
/// # Errors
/// [`Error::Io`], also when `directory` exists; [`Error::Config`] for settings that the family
/// cannot express; [`Error::Adapted`] for a model with an adapter.
pub fn save_with(
    decoder: &Decoder,
    options: SaveOptions<'_>,
    directory: &Path,
) -> Result<(), Error> {
    if decoder.has_adapters() {
        return Err(Error::Adapted);
    }
    let names = decoder.config().tensor_names;
    let mut tensors = collect(|visitor| decoder.clone().visit(visitor));
    for (name, ..) in &mut tensors {
        *name = names.in_file(name);
    }
    save_tensors(tensors, &options, directory, |path| {
        write_config(decoder.config(), options.dtype.name(), options.base, path)
    })
}

/// A parameter on its way to a file: name, shape and values, flat.
pub(super) type Collected = (String, Vec<usize>, Tensor<1>);

/// The parameters that `visit` shows to a visitor, in their order.
pub(super) fn collect(visit: impl FnOnce(&mut Collect)) -> Vec<Collected> {
    let mut collect = Collect(Vec::new());
    visit(&mut collect);
    collect.0
}

/// Writes tensors, `config.json` by `write_config` and further files as a directory.
///
/// # Errors
/// [`Error::Io`], also when `directory` exists, and those of `write_config`.
pub(super) fn save_tensors(
    tensors: Vec<Collected>,
    options: &SaveOptions<'_>,
    directory: &Path,
    write_config: impl FnOnce(&Path) -> Result<(), Error>,
) -> Result<(), Error> {
    let tensors: Vec<TensorToWrite<'_>> = (tensors.into_iter())
        .map(|(name, shape, value)| TensorToWrite {
            name: name.clone(),
            shape,
            dtype: options.dtype,
            values: Box::new(move || match value.to_data().convert::<f32>().try_to_vec::<f32>() {
                Ok(values) => Ok(WeightValues::from(values)),
                Err(error) => {
                    Err(Error::Batch(format!("{name} cannot be read from the device: {error:?}")))
                }
            }),
        })
        .collect();
    in_new_directory(directory, |staging| {
        write_config(&staging.join("config.json"))?;
        for (name, contents) in options.files {
            let path = staging.join(name);
            fs::write(&path, contents).map_err(|source| Error::Io {
                action: "write",
                path,
                source,
            })?;
        }
        write_shards(staging, &tensors, options.shard_size)?;
        Ok(())
    })
}

/// A model's parameters in their order.
pub(super) struct Collect(Vec<Collected>);

impl ParameterVisitor for Collect {
    fn visit<const D: usize>(&mut self, parameter: &mut Parameter<D>) {
        let shape = parameter.value.dims().to_vec();
        let count = shape.iter().product::<usize>();
        let value = parameter.value.clone().reshape([count]);
        self.0.push((parameter.name.clone(), shape, value));
    }
}

/// Fills a directory beside its final name, syncs its files and renames it, so that it appears
/// whole or not at all.
///
/// # Errors
/// [`Error::Io`], also when `directory` exists, and those of `fill`.
pub fn in_new_directory<E: From<Error>>(
    directory: &Path,
    fill: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<(), E> {
    let io = |action, path: &Path| {
        let path = path.to_owned();
        move |source| Error::Io { action, path, source }
    };
    if directory.exists() {
        let source = std::io::ErrorKind::AlreadyExists.into();
        return Err(Error::Io { action: "create", path: directory.into(), source }.into());
    }
    let parent = match directory.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    fs::create_dir_all(parent).map_err(io("create", parent))?;
    let mut builder = tempfile::Builder::new();
    builder.prefix(".afterthought-");
    // Temporary directories are private by default; this is an ordinary one (less the umask).
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
    let staging = builder.tempdir_in(parent).map_err(io("create a directory in", parent))?;
    fill(staging.path())?;
    for entry in fs::read_dir(staging.path()).map_err(io("read", staging.path()))? {
        let path = entry.map_err(io("read", staging.path()))?.path();
        let file = fs::File::open(&path).map_err(io("open", &path))?;
        file.sync_all().map_err(io("sync", &path))?;
    }
    let staged = staging.keep();
    fs::rename(&staged, directory).map_err(io("rename to", directory))?;
    // The name itself is durable once the directory that holds it is.
    let holder = fs::File::open(parent).map_err(io("open", parent))?;
    Ok(holder.sync_all().map_err(io("sync", parent))?)
}
