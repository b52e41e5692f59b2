//! Settings of other models that would change the result if they were passed over.

use super::Settings;
use crate::Error;
use serde_json::json;

pub(super) fn refuse(settings: &Settings<'_>) -> Result<(), Error> {
    for key in [
        "quantization_config",
        "attn_logit_softcapping",
        "final_logit_softcapping",
        "logit_scale",
        "logits_scaling",
        "embedding_multiplier",
        "residual_multiplier",
        "attention_multiplier",
        "query_pre_attn_scalar",
        "num_experts",
        "num_local_experts",
        "n_routed_experts",
        "no_rope_layers",
        "attention_chunk_size",
    ] {
        if let Some(value) = settings.get(key) {
            let problem = format!("is {value}, which this version does not support");
            return Err(Error::Config { key, problem });
        }
    }
    for (key, supported) in [
        ("partial_rotary_factor", json!(1.0)),
        ("pretraining_tp", json!(1)),
        ("position_embedding_type", json!("rope")),
        ("add_cross_attention", json!(false)),
        ("is_encoder_decoder", json!(false)),
    ] {
        let same = |value: &serde_json::Value| match (value.as_f64(), supported.as_f64()) {
            (Some(found), Some(expected)) => found == expected,
            _ => *value == supported,
        };
        if let Some(value) = settings.get(key).filter(|value| !same(value)) {
            let problem = format!("is {value}; this version supports {supported} only");
            return Err(Error::Config { key, problem });
        }
    }
    Ok(())
}
