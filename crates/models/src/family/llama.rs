//! Llama: the keys that most other families share.

use super::{Settings, rope};
use crate::{DecoderConfig, Error};
use serde_json::{Map, Value, json};

/// Defaults are those of `LlamaConfig` in `transformers` 5.23.
pub(super) fn read(settings: &Settings<'_>) -> Result<DecoderConfig, Error> {
    let biased = settings.flag("attention_bias", false)?;
    Ok(DecoderConfig {
        attention_bias: biased,
        output_bias: biased,
        mlp_bias: settings.flag("mlp_bias", false)?,
        ..shared(settings, &DecoderConfig::default())?
    })
}

pub(super) fn write(config: &DecoderConfig) -> Map<String, Value> {
    let mut json = write_shared(config);
    json.insert("attention_bias".into(), config.attention_bias.into());
    json.insert("mlp_bias".into(), config.mlp_bias.into());
    json
}

/// The keys of every family with the names of Llama; those that are missing are as in `missing`.
/// Missing key/value heads are as many as the query heads, and missing `head_dim` follows from the
/// width, unless the family says otherwise afterwards.
pub(super) fn shared(
    settings: &Settings<'_>,
    missing: &DecoderConfig,
) -> Result<DecoderConfig, Error> {
    settings.only("hidden_act", &json!("silu"))?;
    let heads = settings.size("num_attention_heads", missing.num_attention_heads)?;
    let hidden_size = settings.size("hidden_size", missing.hidden_size)?;
    let head_dim = match settings.size_or_null("head_dim", None)? {
        Some(head_dim) => head_dim,
        None => hidden_size.checked_div(heads).unwrap_or(0),
    };
    let rope = rope::read(settings)?;
    let mut eos = settings.token_ids("eos_token_id", missing.eos_token_id)?.into_iter();
    Ok(DecoderConfig {
        vocab_size: settings.size("vocab_size", missing.vocab_size)?,
        hidden_size,
        intermediate_size: settings.size("intermediate_size", missing.intermediate_size)?,
        num_hidden_layers: settings.size("num_hidden_layers", missing.num_hidden_layers)?,
        num_attention_heads: heads,
        num_key_value_heads: settings.size_or_null("num_key_value_heads", None)?.unwrap_or(heads),
        head_dim,
        rms_norm_eps: settings.number("rms_norm_eps", f64::from(missing.rms_norm_eps))? as f32,
        rope_theta: rope.theta,
        rope_scaling: rope.scaling,
        max_position_embeddings: settings
            .size("max_position_embeddings", missing.max_position_embeddings)?,
        tie_word_embeddings: settings.flag("tie_word_embeddings", missing.tie_word_embeddings)?,
        initializer_range: settings.number("initializer_range", missing.initializer_range)?,
        mask_token_id: settings.token_id("mask_token_id", None)?,
        bos_token_id: settings.token_id("bos_token_id", missing.bos_token_id)?,
        eos_token_id: eos.next(),
        other_eos_token_ids: eos.collect(),
        pad_token_id: settings.token_id("pad_token_id", missing.pad_token_id)?,
        ..missing.clone()
    })
}

pub(super) fn write_shared(config: &DecoderConfig) -> Map<String, Value> {
    let json = json!({
        "vocab_size": config.vocab_size,
        "hidden_size": config.hidden_size,
        "intermediate_size": config.intermediate_size,
        "num_hidden_layers": config.num_hidden_layers,
        "num_attention_heads": config.num_attention_heads,
        "num_key_value_heads": config.num_key_value_heads,
        "head_dim": config.head_dim,
        "hidden_act": "silu",
        "rms_norm_eps": decimal(config.rms_norm_eps),
        "rope_theta": config.rope_theta,
        "rope_scaling": rope::write(config),
        "max_position_embeddings": config.max_position_embeddings,
        "tie_word_embeddings": config.tie_word_embeddings,
        "initializer_range": config.initializer_range,
        "is_causal": config.causal,
        "mask_token_id": config.mask_token_id,
        "bos_token_id": config.bos_token_id,
        "eos_token_id": eos(config),
        "pad_token_id": config.pad_token_id,
    });
    match json {
        Value::Object(json) => json,
        _ => Map::new(),
    }
}

/// One id as a number, several as a list.
pub(super) fn eos(config: &DecoderConfig) -> Value {
    match config.other_eos_token_ids.is_empty() {
        true => config.eos_token_id.into(),
        false => config.eos_token_ids().into(),
    }
}

/// The shortest decimal that means this number: `1e-6` rather than `9.99999997e-7`.
pub(super) fn decimal(value: f32) -> f64 {
    value.to_string().parse().unwrap_or(f64::from(value))
}
