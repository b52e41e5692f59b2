//! Qwen3: Llama with norms of queries and keys, and heads of a width of their own.

use super::{Settings, llama, qwen2, sliding};
use crate::{DecoderConfig, Error};
use serde_json::{Map, Value};

/// Defaults are those of `Qwen3Config` in `transformers` 5.23.
pub(super) fn read(settings: &Settings<'_>) -> Result<DecoderConfig, Error> {
    let mut config = llama::shared(settings, &qwen2::defaults())?;
    let biased = settings.flag("attention_bias", false)?;
    config.num_key_value_heads = qwen2::key_value_heads(settings, &config)?;
    if let Some(head_dim) = settings.size_or_null("head_dim", Some(128))? {
        config.head_dim = head_dim;
    }
    config.attention_bias = biased;
    config.output_bias = biased;
    config.qk_norm = true;
    config.sliding_window = sliding::read(settings, config.num_hidden_layers)?;
    Ok(config)
}

pub(super) fn write(config: &DecoderConfig) -> Map<String, Value> {
    let mut json = llama::write_shared(config);
    json.insert("attention_bias".into(), config.attention_bias.into());
    json.extend(sliding::write(config));
    json
}
