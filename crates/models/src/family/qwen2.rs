//! Qwen2: Llama with biases on queries, keys and values, and windows in the upper layers.

use super::{Settings, llama, sliding};
use crate::{DecoderConfig, Error};
use serde_json::{Map, Value};

/// What `Qwen2Config` of `transformers` 5.23 takes for missing keys.
pub(super) fn defaults() -> DecoderConfig {
    DecoderConfig {
        vocab_size: 151_936,
        intermediate_size: 22_016,
        max_position_embeddings: 32_768,
        bos_token_id: None,
        eos_token_id: None,
        ..DecoderConfig::default()
    }
}

pub(super) fn read(settings: &Settings<'_>) -> Result<DecoderConfig, Error> {
    // The class has no such key: its queries, keys and values always have one, and nothing else.
    settings.only("attention_bias", &true.into())?;
    let mut config = llama::shared(settings, &defaults())?;
    config.num_key_value_heads = key_value_heads(settings, &config)?;
    config.attention_bias = true;
    config.sliding_window = sliding::read(settings, config.num_hidden_layers)?;
    Ok(config)
}

pub(super) fn write(config: &DecoderConfig) -> Map<String, Value> {
    let mut json = llama::write_shared(config);
    json.insert("attention_bias".into(), true.into());
    json.extend(sliding::write(config));
    json
}

/// 32 if the key is missing, as many as the query heads if it is null.
pub(super) fn key_value_heads(
    settings: &Settings<'_>,
    config: &DecoderConfig,
) -> Result<usize, Error> {
    let heads = settings.size_or_null("num_key_value_heads", Some(32))?;
    Ok(heads.unwrap_or(config.num_attention_heads))
}
