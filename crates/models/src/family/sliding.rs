//! Which layers of Qwen models have a window.

use super::Settings;
use crate::{DecoderConfig, Error, SlidingWindow};
use serde_json::{Map, Value, json};

/// Layers from `max_window_layers` on, or those that `layer_types` names, if `use_sliding_window`.
pub(super) fn read(
    settings: &Settings<'_>,
    num_hidden_layers: usize,
) -> Result<Option<SlidingWindow>, Error> {
    let layers = num_hidden_layers.min(1 << 12);
    let width = match settings.flag("use_sliding_window", false)? {
        true => settings.size_or_null("sliding_window", Some(4096))?,
        false => None,
    };
    let first = settings.size("max_window_layers", 28)?;
    let layers = match settings.get("layer_types") {
        None => (0..layers).map(|layer| width.is_some() && layer >= first).collect(),
        Some(types) => layer_types(types)?,
    };
    let windowed = layers.contains(&true);
    match width {
        Some(width) if windowed => Ok(Some(SlidingWindow { width, layers })),
        None if windowed => {
            let problem = "names sliding_attention, but there is no window".to_owned();
            Err(Error::Config { key: "layer_types", problem })
        }
        _ => Ok(None),
    }
}

fn layer_types(types: &Value) -> Result<Vec<bool>, Error> {
    let wrong = |value: &Value| {
        let known = "a list of full_attention and sliding_attention";
        Error::Config { key: "layer_types", problem: format!("has {value}; expected {known}") }
    };
    let types = types.as_array().ok_or_else(|| wrong(types))?;
    types
        .iter()
        .map(|value| match value.as_str() {
            Some("full_attention") => Ok(false),
            Some("sliding_attention") => Ok(true),
            _ => Err(wrong(value)),
        })
        .collect()
}

pub(super) fn write(config: &DecoderConfig) -> Map<String, Value> {
    let layers = config.num_hidden_layers;
    let mut json = Map::new();
    match &config.sliding_window {
        None => {
            json.insert("use_sliding_window".into(), false.into());
            json.insert("sliding_window".into(), Value::Null);
            json.insert("max_window_layers".into(), layers.into());
        }
        Some(window) => {
            let first = window.layers.iter().position(|windowed| *windowed).unwrap_or(layers);
            let names = window.layers.iter().map(|windowed| match windowed {
                true => json!("sliding_attention"),
                false => json!("full_attention"),
            });
            json.insert("use_sliding_window".into(), true.into());
            json.insert("sliding_window".into(), window.width.into());
            json.insert("max_window_layers".into(), first.into());
            json.insert("layer_types".into(), names.collect());
        }
    }
    json
}
