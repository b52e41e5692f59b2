use super::AdapterConfig;
use super::tensors::{self, Contents, Stored};
use crate::lora::{attach, factor_names, selected, widths};
use crate::{Adaptable, Error, base_hash};
use afterthought_models::hub::in_new_directory;
use burn::tensor::Tensor;
use safetensors::Dtype;
use std::collections::BTreeMap;
use std::path::Path;

const CONFIG: &str = "adapter_config.json";
const WEIGHTS: &str = "adapter_model.safetensors";

/// Puts the adapter of a directory on a model, as something to train; everything else is frozen.
///
/// # Errors
/// Those of [`AdapterConfig::read`]; [`Error::UnmatchedTargets`]; [`Error::Tensors`] listing every
/// difference between file and model; [`Error::OtherBase`] if the file names a base with other
/// weights; [`Error::Model`] if the model has an adapter.
pub fn load<M: Adaptable>(model: &mut M, directory: &Path) -> Result<AdapterConfig, Error> {
    let mut config = AdapterConfig::read(&directory.join(CONFIG))?;
    let paths = selected(model, config.lora())?;
    let mut expected = BTreeMap::new();
    let all = model.linear_paths();
    for (linear, path) in model.linears_mut().into_iter().zip(all) {
        if paths.contains(&path) {
            let ([inputs, outputs], size) = (widths(linear), config.lora().size(&path)?);
            let [a, b] = factor_names(&path);
            expected.insert(a, [size.rank, inputs]);
            expected.insert(b, [outputs, size.rank]);
        }
    }
    let file = directory.join(WEIGHTS);
    let mut contents = tensors::read(&file, &expected)?;
    if let Some(expected) = contents.base_hash {
        let found = base_hash(model)?;
        if found != expected {
            return Err(Error::OtherBase { path: file, expected, found });
        }
        config.base_checked = true;
    }
    let types = contents.tensors.iter().map(|(name, stored)| (name.clone(), stored.dtype));
    config.dtypes = types.collect();
    let stored = &mut contents.tensors;
    attach(model, config.lora(), &paths, &mut |path, _| {
        // `read` found every expected tensor.
        factor_names(path)
            .map(|name| stored.remove(&name).map(|stored| stored.values).unwrap_or_default())
    })?;
    Ok(config)
}

/// The hash of the base weights that the file of a directory records, if it records one: with it,
/// [`load`] refuses every other base.
///
/// # Errors
/// [`Error::Io`], [`Error::Safetensors`].
pub fn recorded_base(directory: &Path) -> Result<Option<String>, Error> {
    tensors::base_hash(&directory.join(WEIGHTS))
}

/// Writes the adapter of a model as a directory, which appears whole or not at all. Nothing may
/// stand at that name yet. The hash of the base weights is recorded in the file's metadata.
///
/// # Errors
/// [`Error::Model`] if there is no adapter; [`Error::Io`], also when `directory` exists;
/// [`Error::Device`].
pub fn save<M: Adaptable>(
    model: &M,
    config: &AdapterConfig,
    directory: &Path,
) -> Result<(), Error> {
    let mut contents = Contents { base_hash: Some(base_hash(model)?), ..Contents::default() };
    for linear in model.clone().linears_mut() {
        let Some(term) = &linear.low_rank else { continue };
        for parameter in [&term.a, &term.b] {
            let dtype = config.dtypes.get(&parameter.name).copied().unwrap_or(Dtype::F32);
            let values = read_back(&parameter.name, &parameter.value)?;
            let stored = Stored { shape: parameter.value.dims(), values, dtype };
            contents.tensors.insert(parameter.name.clone(), stored);
        }
    }
    if contents.tensors.is_empty() {
        return Err(Error::Model("has no adapter to save"));
    }
    in_new_directory(directory, |staging| {
        config.write(&staging.join(CONFIG))?;
        tensors::write(&staging.join(WEIGHTS), &contents)
    })
}

fn read_back(name: &str, value: &Tensor<2>) -> Result<Vec<f32>, Error> {
    value
        .to_data()
        .try_to_vec()
        .map_err(|error| Error::Device { name: name.into(), problem: format!("{error:?}") })
}
