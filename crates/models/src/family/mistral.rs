//! Mistral: Llama with a sliding window in every layer.

use super::{Settings, llama};
use crate::{DecoderConfig, Error, SlidingWindow};
use serde_json::{Map, Value};

/// Defaults are those of `MistralConfig` in `transformers` 5.23.
pub(super) fn read(settings: &Settings<'_>) -> Result<DecoderConfig, Error> {
    let missing = DecoderConfig {
        intermediate_size: 14_336,
        max_position_embeddings: 4096 * 32,
        ..DecoderConfig::default()
    };
    if let Some(value) = settings.get("layer_types") {
        let problem = format!("is {value}, which the class of this model type does not read");
        return Err(Error::Config { key: "layer_types", problem });
    }
    let config = llama::shared(settings, &missing)?;
    // 8 if the key is missing, as many as the query heads if it is null.
    let kv_heads = settings.size_or_null("num_key_value_heads", Some(8))?;
    let width = settings.size_or_null("sliding_window", Some(4096))?;
    // Checked once more with the rest; here because of the list.
    let layers = config.num_hidden_layers.min(1 << 12);
    Ok(DecoderConfig {
        num_key_value_heads: kv_heads.unwrap_or(config.num_attention_heads),
        sliding_window: width.map(|width| SlidingWindow { width, layers: vec![true; layers] }),
        ..config
    })
}

pub(super) fn write(config: &DecoderConfig) -> Map<String, Value> {
    let mut json = llama::write_shared(config);
    let width = config.sliding_window.as_ref().map(|window| window.width);
    json.insert("sliding_window".into(), width.into());
    json
}
