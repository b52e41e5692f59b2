use crate::{DecoderConfig, Error};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::Path;

/// `config.json` as we write it: the keys of Hugging Face's Llama, Qwen2 and Qwen3 classes, and
/// what a masked-diffusion model needs besides (`is_causal`, `mask_token_id`).
#[derive(Debug, Serialize, Deserialize)]
struct ConfigJson {
    architectures: Vec<String>,
    model_type: String,
    vocab_size: usize,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    hidden_act: String,
    rms_norm_eps: f32,
    rope_theta: f64,
    max_position_embeddings: usize,
    tie_word_embeddings: bool,
    attention_bias: bool,
    initializer_range: f64,
    #[serde(default = "causal_by_default")]
    is_causal: bool,
    mask_token_id: Option<u32>,
    bos_token_id: Option<u32>,
    eos_token_id: Option<u32>,
    pad_token_id: Option<u32>,
    torch_dtype: String,
}

fn causal_by_default() -> bool {
    true
}

/// The class in `transformers` that has these settings.
fn class_of(config: &DecoderConfig) -> Result<(&'static str, &'static str), Error> {
    match (config.qk_norm, config.attention_bias) {
        (false, false) => Ok(("llama", "LlamaForCausalLM")),
        (false, true) => Ok(("qwen2", "Qwen2ForCausalLM")),
        (true, false) => Ok(("qwen3", "Qwen3ForCausalLM")),
        (true, true) => Err(Error::Config {
            key: "attention_bias",
            problem: "is true together with query/key norms; no known model class has both".into(),
        }),
    }
}

/// Writes `config.json`.
///
/// # Errors
/// [`Error::Config`] for a combination that no model class has, [`Error::Io`].
pub fn write_config(config: &DecoderConfig, path: &Path) -> Result<(), Error> {
    let (model_type, class) = class_of(config)?;
    let json = ConfigJson {
        architectures: vec![class.into()],
        model_type: model_type.into(),
        vocab_size: config.vocab_size,
        hidden_size: config.hidden_size,
        intermediate_size: config.intermediate_size,
        num_hidden_layers: config.num_hidden_layers,
        num_attention_heads: config.num_attention_heads,
        num_key_value_heads: Some(config.num_key_value_heads),
        head_dim: Some(config.head_dim),
        hidden_act: "silu".into(),
        rms_norm_eps: config.rms_norm_eps,
        rope_theta: config.rope_theta,
        max_position_embeddings: config.max_position_embeddings,
        tie_word_embeddings: config.tie_word_embeddings,
        attention_bias: config.attention_bias,
        initializer_range: config.initializer_range,
        is_causal: config.causal,
        mask_token_id: config.mask_token_id,
        bos_token_id: config.bos_token_id,
        eos_token_id: config.eos_token_id,
        pad_token_id: config.pad_token_id,
        torch_dtype: "float32".into(),
    };
    let json_error = |source| Error::Json { path: path.into(), source };
    let text = serde_json::to_string_pretty(&json).map_err(json_error)?;
    fs::write(path, text + "\n").map_err(|source| Error::Io {
        action: "write",
        path: path.into(),
        source,
    })
}

/// Settings of other models that would change the result if they were passed over.
fn refuse_unsupported(config: &serde_json::Value) -> Result<(), Error> {
    for key in ["rope_scaling", "sliding_window", "quantization_config", "attn_logit_softcapping"] {
        if let Some(value) = config.get(key).filter(|value| !value.is_null()) {
            let problem = format!("is {value}, which this version does not support");
            return Err(Error::Config { key, problem });
        }
    }
    if config.get("mlp_bias").is_some_and(|value| value == true) {
        let problem = "is true, which this version does not support".into();
        return Err(Error::Config { key: "mlp_bias", problem });
    }
    Ok(())
}

/// Reads `config.json` of a directory that [`write_config`] wrote.
///
/// # Errors
/// [`Error::Io`], [`Error::Json`], or [`Error::Config`] for a model type or setting that this
/// version does not know.
pub fn read_config(path: &Path) -> Result<DecoderConfig, Error> {
    let text = fs::read_to_string(path).map_err(|source| Error::Io {
        action: "read",
        path: path.into(),
        source,
    })?;
    let as_json_error = |source| Error::Json { path: path.into(), source };
    let value: serde_json::Value = serde_json::from_str(&text).map_err(as_json_error)?;
    refuse_unsupported(&value)?;
    let json: ConfigJson = serde_json::from_value(value).map_err(as_json_error)?;
    let qk_norm = match json.model_type.as_str() {
        "llama" | "qwen2" => false,
        "qwen3" => true,
        other => {
            let problem = format!("is {other:?}; expected one of llama, qwen2, qwen3");
            return Err(Error::Config { key: "model_type", problem });
        }
    };
    if json.hidden_act != "silu" {
        let problem = format!("is {:?}; expected \"silu\"", json.hidden_act);
        return Err(Error::Config { key: "hidden_act", problem });
    }
    let head_dim = match json.head_dim {
        Some(head_dim) => head_dim,
        None => json.hidden_size.checked_div(json.num_attention_heads).unwrap_or(0),
    };
    let config = DecoderConfig {
        vocab_size: json.vocab_size,
        hidden_size: json.hidden_size,
        intermediate_size: json.intermediate_size,
        num_hidden_layers: json.num_hidden_layers,
        num_attention_heads: json.num_attention_heads,
        num_key_value_heads: json.num_key_value_heads.unwrap_or(json.num_attention_heads),
        head_dim,
        rms_norm_eps: json.rms_norm_eps,
        rope_theta: json.rope_theta,
        max_position_embeddings: json.max_position_embeddings,
        tie_word_embeddings: json.tie_word_embeddings,
        attention_bias: json.attention_bias,
        qk_norm,
        causal: json.is_causal,
        initializer_range: json.initializer_range,
        mask_token_id: json.mask_token_id,
        bos_token_id: json.bos_token_id,
        eos_token_id: json.eos_token_id,
        pad_token_id: json.pad_token_id,
    };
    config.validate()?;
    Ok(config)
}
