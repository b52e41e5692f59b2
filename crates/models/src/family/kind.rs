use super::{Settings, dream, llada, llama, mistral, qwen2, qwen3, unsupported};
use crate::{DecoderConfig, Error};
use serde_json::{Map, Value};

/// A family of decoders, by the `model_type` of its configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Llama 1 to 3.2, and what copies them.
    Llama,
    /// Mistral 7B.
    Mistral,
    /// Qwen2 and Qwen2.5.
    Qwen2,
    /// Qwen3, dense.
    Qwen3,
    /// A Llama made bidirectional by dLLM's A2D.
    A2dLlama,
    /// A Qwen2 made bidirectional.
    A2dQwen2,
    /// A Qwen3 made bidirectional.
    A2dQwen3,
    /// LLaDA 8B, dense.
    Llada,
    /// Dream 7B and what is derived from it.
    Dream,
}

impl Family {
    /// Every family.
    pub const ALL: [Self; 9] = [
        Self::Llama,
        Self::Mistral,
        Self::Qwen2,
        Self::Qwen3,
        Self::A2dLlama,
        Self::A2dQwen2,
        Self::A2dQwen3,
        Self::Llada,
        Self::Dream,
    ];

    /// The `model_type` in `config.json`.
    pub fn model_type(self) -> &'static str {
        match self {
            Self::Llama => "llama",
            Self::Mistral => "mistral",
            Self::Qwen2 => "qwen2",
            Self::Qwen3 => "qwen3",
            Self::A2dLlama => "a2d-llama",
            Self::A2dQwen2 => "a2d-qwen2",
            Self::A2dQwen3 => "a2d-qwen3",
            Self::Llada => "llada",
            Self::Dream => "Dream",
        }
    }

    /// The class that `architectures` names.
    pub fn architecture(self) -> &'static str {
        match self {
            Self::Llama => "LlamaForCausalLM",
            Self::Mistral => "MistralForCausalLM",
            Self::Qwen2 => "Qwen2ForCausalLM",
            Self::Qwen3 => "Qwen3ForCausalLM",
            Self::A2dLlama => "A2DLlamaLMHeadModel",
            Self::A2dQwen2 => "A2DQwen2LMHeadModel",
            Self::A2dQwen3 => "A2DQwen3LMHeadModel",
            Self::Llada => "LLaDAModelLM",
            Self::Dream => "DreamModel",
        }
    }

    /// The family of `transformers` that has these settings: what models trained from nothing are
    /// written as.
    pub fn with(qk_norm: bool, attention_bias: bool) -> Self {
        match (qk_norm, attention_bias) {
            (true, _) => Self::Qwen3,
            (false, true) => Self::Qwen2,
            (false, false) => Self::Llama,
        }
    }

    /// What a `config.json` says.
    ///
    /// # Errors
    /// [`Error::Config`] for a family or setting that is not known, or a value that is not of its
    /// kind. The result is not validated yet.
    pub(crate) fn read(json: &Map<String, Value>) -> Result<DecoderConfig, Error> {
        let settings = Settings::new(json);
        let model_type = settings.required_text("model_type")?;
        let Some(family) = Self::ALL.into_iter().find(|family| family.model_type() == model_type)
        else {
            let known = Self::ALL.map(Self::model_type).join(", ");
            let problem = format!("is {model_type:?}; expected one of {known}");
            return Err(Error::Config { key: "model_type", problem });
        };
        unsupported::refuse(&settings)?;
        let mut config = match family {
            Self::Llama | Self::A2dLlama => llama::read(&settings)?,
            Self::Mistral => mistral::read(&settings)?,
            Self::Qwen2 | Self::A2dQwen2 => qwen2::read(&settings)?,
            Self::Qwen3 | Self::A2dQwen3 => qwen3::read(&settings)?,
            Self::Llada => llada::read(&settings)?,
            Self::Dream => dream::read(&settings)?,
        };
        config.family = family;
        config.causal = match family {
            Self::Llama | Self::Mistral | Self::Qwen2 | Self::Qwen3 => {
                settings.flag("is_causal", true)?
            }
            _ => false,
        };
        Ok(config)
    }

    /// The `config.json` of a model of this family.
    ///
    /// # Errors
    /// [`Error::Config`] for a setting that the family cannot express.
    pub(crate) fn write(config: &DecoderConfig) -> Result<Map<String, Value>, Error> {
        let family = config.family;
        let mut json = match family {
            Self::Llama | Self::A2dLlama => llama::write(config),
            Self::Mistral => mistral::write(config),
            Self::Qwen2 | Self::A2dQwen2 => qwen2::write(config),
            Self::Qwen3 | Self::A2dQwen3 => qwen3::write(config),
            Self::Llada => llada::write(config),
            Self::Dream => dream::write(config),
        };
        json.insert("model_type".into(), family.model_type().into());
        json.insert("architectures".into(), vec![family.architecture()].into());
        // What was written must mean what was meant.
        let mut back = Self::read(&json)?;
        back.tensor_names = config.tensor_names;
        match first_difference(config, &back) {
            None => Ok(json),
            Some(key) => {
                let name = family.model_type();
                let problem = format!("has a value that model type {name} cannot express");
                Err(Error::Config { key, problem })
            }
        }
    }
}

/// The first setting in which two configurations differ.
fn first_difference(a: &DecoderConfig, b: &DecoderConfig) -> Option<&'static str> {
    let equal = [
        ("attention_bias", a.attention_bias == b.attention_bias),
        ("attention_bias", a.output_bias == b.output_bias),
        ("mlp_bias", a.mlp_bias == b.mlp_bias),
        ("qk_norm", a.qk_norm == b.qk_norm),
        ("is_causal", a.causal == b.causal),
        ("shifted_logits", a.shifted_logits == b.shifted_logits),
        ("sliding_window", a.sliding_window == b.sliding_window),
        ("rope_parameters", a.rope_scaling == b.rope_scaling),
        ("head_dim", a.head_dim == b.head_dim),
        ("num_key_value_heads", a.num_key_value_heads == b.num_key_value_heads),
        ("eos_token_id", a.eos_token_ids() == b.eos_token_ids()),
        ("bos_token_id", a.bos_token_id == b.bos_token_id),
        ("mask_token_id", a.mask_token_id == b.mask_token_id),
        ("model_type", a == b),
    ];
    equal.into_iter().find(|(_, equal)| !equal).map(|(key, _)| key)
}
