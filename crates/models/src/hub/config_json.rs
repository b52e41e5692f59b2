use super::locate::read_small;
use crate::family::Family;
use crate::{DecoderConfig, Error};
use afterthought_strict_json::parse_object;
use serde_json::{Map, Value};
use std::fs;
use std::path::Path;

/// Most bytes of a configuration file.
const MAX_CONFIG: u64 = 16 << 20;

/// Reads `config.json`, and the mask token from `tokenizer_config.json` beside it if only that
/// names it.
///
/// # Errors
/// [`Error::Io`], [`Error::Json`], or [`Error::ConfigFile`] for a model type or setting that this
/// version does not know.
pub fn read_config(path: &Path) -> Result<DecoderConfig, Error> {
    let in_file = |error| match error {
        Error::Config { key, problem } => Error::ConfigFile { path: path.into(), key, problem },
        other => other,
    };
    let mut config = Family::read(&read_object(path)?).map_err(in_file)?;
    let beside = path.with_file_name("tokenizer_config.json");
    if !config.causal && config.mask_token_id.is_none() && beside.is_file() {
        config.mask_token_id = token_id(&read_object(&beside)?, "mask_token");
    }
    config.validate().map_err(in_file)?;
    Ok(config)
}

/// Reads a file that holds one JSON object.
///
/// # Errors
/// [`Error::Io`] or [`Error::Json`].
pub fn read_object(path: &Path) -> Result<Map<String, Value>, Error> {
    let bytes = read_small(path, MAX_CONFIG)?;
    parse_object(&bytes).map_err(|source| Error::Json { path: path.into(), source })
}

/// Writes `config.json` in the keys of the model's family. Keys of `base`, another configuration
/// of the same model, that the family does not write are kept.
///
/// # Errors
/// [`Error::Config`] for a setting that the family cannot express, [`Error::Io`].
pub fn write_config(
    config: &DecoderConfig,
    dtype: &str,
    base: Option<&Map<String, Value>>,
    path: &Path,
) -> Result<(), Error> {
    write_merged(Family::write(config)?, dtype, base, path)
}

/// Writes what a family wrote, and besides it the keys of `base` that it did not write.
///
/// # Errors
/// [`Error::Io`].
pub(super) fn write_merged(
    written: Map<String, Value>,
    dtype: &str,
    base: Option<&Map<String, Value>>,
    path: &Path,
) -> Result<(), Error> {
    let mut json = base.cloned().unwrap_or_default();
    // One of the two ways to say it would be stale.
    json.remove("rope_parameters");
    let architectures = json.get("architectures").cloned();
    json.extend(written);
    if let Some(architectures) = architectures {
        json.insert("architectures".into(), architectures);
    }
    json.remove("dtype");
    json.insert("torch_dtype".into(), dtype.into());
    let json_error = |source| Error::Json { path: path.into(), source };
    let text = serde_json::to_string_pretty(&Value::Object(json)).map_err(json_error)?;
    fs::write(path, text + "\n").map_err(|source| Error::Io {
        action: "write",
        path: path.into(),
        source,
    })
}

/// The id of a token that `tokenizer_config.json` names by its text.
fn token_id(tokenizer: &Map<String, Value>, key: &str) -> Option<u32> {
    let text = match tokenizer.get(key)? {
        Value::Object(token) => token.get("content")?.as_str()?,
        token => token.as_str()?,
    };
    let added = tokenizer.get("added_tokens_decoder")?.as_object()?;
    added.iter().find(|(_, token)| token["content"] == text)?.0.parse().ok()
}
