//! Where a model directory keeps its chat templates and the names of its special tokens.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::compiled::{Compiled, SOURCE_CAP};
use crate::Error;

/// Longest configuration file: 64 MiB (they list every added token).
const CONFIG_CAP: usize = 64 << 20;

/// The templates of a directory by name; `default` is the one that is meant when nobody says.
///
/// `chat_template.jinja` and `additional_chat_templates/NAME.jinja` win over `chat_template` in
/// tokenizer_config.json, which is a string or a list of `{name, template}`.
pub(super) fn templates(directory: &Path) -> Result<BTreeMap<String, Compiled>, Error> {
    let mut found = BTreeMap::new();
    let config_path = directory.join("tokenizer_config.json");
    let config = object(&config_path)?.unwrap_or_default();
    let origin = config_path.display().to_string();
    let malformed =
        |reason: &str| Error::ChatFile { path: config_path.clone(), reason: reason.to_owned() };
    match config.get("chat_template") {
        None | Some(Value::Null) => {}
        Some(Value::String(source)) => {
            let origin = format!("{origin} (chat_template)");
            found.insert("default".to_owned(), Compiled::new(&origin, source)?);
        }
        Some(Value::Array(named)) => {
            for entry in named {
                let text = |key: &str| entry.get(key).and_then(Value::as_str);
                let (Some(name), Some(source)) = (text("name"), text("template")) else {
                    return Err(malformed("an entry of chat_template has no name or template"));
                };
                let origin = format!("{origin} (chat_template {name:?})");
                found.insert(name.to_owned(), Compiled::new(&origin, source)?);
            }
        }
        Some(_) => return Err(malformed("chat_template is neither a string nor a list")),
    }
    let mut from_file = |name: &str, path: PathBuf| -> Result<(), Error> {
        if let Some(bytes) = read(&path, SOURCE_CAP)? {
            let source = String::from_utf8(bytes).map_err(|error| Error::ChatFile {
                path: path.clone(),
                reason: format!("byte {} is not UTF-8", error.utf8_error().valid_up_to()),
            })?;
            let origin = path.display().to_string();
            found.insert(name.to_owned(), Compiled::new(&origin, &source)?);
        }
        Ok(())
    };
    from_file("default", directory.join("chat_template.jinja"))?;
    let tools = directory.join("additional_chat_templates").join("tool_use.jinja");
    from_file("tool_use", tools)?;
    Ok(found)
}

/// The special tokens of a directory by role (`bos_token`, `eos_token` ...): those of
/// tokenizer_config.json, and of special_tokens_map.json where that names none.
pub(crate) fn special_tokens(directory: &Path) -> Result<Map<String, Value>, Error> {
    let mut found = Map::new();
    for file in ["tokenizer_config.json", "special_tokens_map.json"] {
        let path = directory.join(file);
        for (key, value) in object(&path)?.unwrap_or_default() {
            if !key.ends_with("_token") || found.contains_key(&key) {
                continue;
            }
            // Flags such as add_bos_token have the same ending.
            let token = match &value {
                Value::String(token) => Some(token.as_str()),
                Value::Object(token) => token.get("content").and_then(Value::as_str),
                _ => None,
            };
            if let Some(token) = token {
                found.insert(key, token.into());
            }
        }
    }
    Ok(found)
}

/// Whether the directory says that a text begins with the begin-of-sequence token.
pub(crate) fn adds_bos(directory: &Path) -> Result<Option<bool>, Error> {
    let config = object(&directory.join("tokenizer_config.json"))?;
    Ok(config.and_then(|config| config.get("add_bos_token")?.as_bool()))
}

/// A JSON file that holds an object; nothing if there is no such file.
pub(crate) fn object(path: &Path) -> Result<Option<Map<String, Value>>, Error> {
    let Some(bytes) = read(path, CONFIG_CAP)? else { return Ok(None) };
    serde_json::from_slice(&bytes).map(Some).map_err(|error| Error::ChatFile {
        path: path.to_owned(),
        reason: format!("not a JSON object: {error}"),
    })
}

fn read(path: &Path, cap: usize) -> Result<Option<Vec<u8>>, Error> {
    let io = |source| Error::Io { path: path.to_owned(), source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io(error)),
    };
    let mut bytes = Vec::new();
    file.take(cap as u64 + 1).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() > cap {
        let reason = format!("longer than {cap} bytes");
        return Err(Error::ChatFile { path: path.to_owned(), reason });
    }
    Ok(Some(bytes))
}
