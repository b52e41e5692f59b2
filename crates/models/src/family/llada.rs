//! LLaDA: a Llama that sees both ways, in the words of OLMo.

use super::{Settings, llama, rope};
use crate::{DecoderConfig, Error};
use serde_json::{Map, Value, json};

pub(super) fn read(settings: &Settings<'_>) -> Result<DecoderConfig, Error> {
    // Conversions to Llama's names may bring Llama's keys along.
    if settings.get("d_model").is_none() && settings.get("hidden_size").is_some() {
        return llama::read(settings);
    }
    for (key, supported) in [
        ("block_type", json!("llama")),
        ("block_group_size", json!(1)),
        ("activation_type", json!("silu")),
        ("layer_norm_type", json!("rms")),
        ("rope", json!(true)),
        ("alibi", json!(false)),
        ("attention_layer_norm", json!(false)),
        ("multi_query_attention", json!(false)),
        ("include_bias", json!(false)),
        ("bias_for_layer_norm", json!(false)),
        ("input_emb_norm", json!(false)),
        ("scale_logits", json!(false)),
    ] {
        settings.only(key, &supported)?;
    }
    let heads = settings.required_size("n_heads")?;
    let hidden_size = settings.required_size("d_model")?;
    let vocab_size = settings.required_size("vocab_size")?;
    let intermediate_size = match settings.size_or_null("mlp_hidden_size", None)? {
        Some(size) => size,
        None => settings.required_size("mlp_ratio")?.saturating_mul(hidden_size),
    };
    let mut eos = settings.token_ids("eos_token_id", None)?.into_iter();
    Ok(DecoderConfig {
        // Rows of the table: it may be padded.
        vocab_size: settings.size_or_null("embedding_size", None)?.unwrap_or(vocab_size),
        hidden_size,
        intermediate_size,
        num_hidden_layers: settings.required_size("n_layers")?,
        num_attention_heads: heads,
        num_key_value_heads: settings.size_or_null("n_kv_heads", None)?.unwrap_or(heads),
        head_dim: hidden_size.checked_div(heads).unwrap_or(0),
        rms_norm_eps: settings.number("rms_norm_eps", 1e-5)? as f32,
        rope_theta: settings.required_number("rope_theta")?,
        rope_scaling: rope::read(settings)?.scaling,
        max_position_embeddings: settings.required_size("max_sequence_length")?,
        tie_word_embeddings: settings.flag("weight_tying", false)?,
        attention_bias: settings.flag("include_qkv_bias", false)?,
        initializer_range: settings.number("init_std", 0.02)?,
        mask_token_id: settings.token_id("mask_token_id", None)?,
        bos_token_id: settings.token_id("bos_token_id", None)?,
        eos_token_id: eos.next(),
        other_eos_token_ids: eos.collect(),
        pad_token_id: settings.token_id("pad_token_id", None)?,
        ..DecoderConfig::default()
    })
}

pub(super) fn write(config: &DecoderConfig) -> Map<String, Value> {
    let json = json!({
        "block_type": "llama",
        "block_group_size": 1,
        "activation_type": "silu",
        "layer_norm_type": "rms",
        "layer_norm_with_affine": true,
        "rope": true,
        "rope_full_precision": true,
        "rope_theta": config.rope_theta,
        "rope_scaling": rope::write(config),
        "alibi": false,
        "attention_layer_norm": false,
        "multi_query_attention": null,
        "include_bias": false,
        "include_qkv_bias": config.attention_bias,
        "bias_for_layer_norm": false,
        "input_emb_norm": false,
        "scale_logits": false,
        "d_model": config.hidden_size,
        "n_layers": config.num_hidden_layers,
        "n_heads": config.num_attention_heads,
        "n_kv_heads": config.num_key_value_heads,
        "mlp_hidden_size": config.intermediate_size,
        "rms_norm_eps": llama::decimal(config.rms_norm_eps),
        "vocab_size": config.vocab_size,
        "embedding_size": config.vocab_size,
        "weight_tying": config.tie_word_embeddings,
        "max_sequence_length": config.max_position_embeddings,
        "init_std": config.initializer_range,
        "attention_dropout": 0.0,
        "embedding_dropout": 0.0,
        "residual_dropout": 0.0,
        "mask_token_id": config.mask_token_id,
        "bos_token_id": config.bos_token_id,
        "eos_token_id": llama::eos(config),
        "pad_token_id": config.pad_token_id,
    });
    match json {
        Value::Object(json) => json,
        _ => Map::new(),
    }
}
