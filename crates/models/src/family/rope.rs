//! `rope_parameters` of `transformers` 5 and `rope_scaling` with `rope_theta` of what came before.

use super::Settings;
use crate::rope::{Llama3, Yarn};
use crate::{DecoderConfig, Error, RopeScaling};
use serde_json::{Value, json};

pub(super) struct Rope {
    pub(super) theta: f64,
    pub(super) scaling: RopeScaling,
}

/// Keys that any type may have.
const COMMON: [&str; 4] = ["rope_type", "type", "rope_theta", "partial_rotary_factor"];

pub(super) fn read(settings: &Settings<'_>) -> Result<Rope, Error> {
    let outer_theta = settings.number("rope_theta", 10_000.0)?;
    let (key, parameters) = match settings.object("rope_scaling")?.filter(|o| !o.is_empty()) {
        // It has precedence in `transformers`.
        Some(object) => ("rope_scaling", object),
        None => match settings.object("rope_parameters")?.filter(|o| !o.is_empty()) {
            Some(object) => ("rope_parameters", object),
            None => return Ok(Rope { theta: outer_theta, scaling: RopeScaling::None }),
        },
    };
    let theta = parameters.number("rope_theta", outer_theta)?;
    if let Some(value) = parameters.get("partial_rotary_factor").filter(|v| v.as_f64() != Some(1.0))
    {
        let problem = format!("is {value}; this version rotates whole heads only");
        return Err(Error::Config { key: "partial_rotary_factor", problem });
    }
    let kind = match parameters.text("rope_type")? {
        Some(kind) => kind,
        None => parameters.text("type")?.unwrap_or("default"),
    };
    let window = || match settings.get("original_max_position_embeddings") {
        Some(_) => settings.required_size("original_max_position_embeddings"),
        None => parameters.size(
            "original_max_position_embeddings",
            settings.size("max_position_embeddings", 2048)?,
        ),
    };
    let (scaling, keys): (RopeScaling, &[&str]) = match kind {
        "default" => (RopeScaling::None, &[]),
        "linear" => {
            (RopeScaling::Linear { factor: parameters.required_number("factor")? }, &["factor"])
        }
        "dynamic" => {
            (RopeScaling::Dynamic { factor: parameters.required_number("factor")? }, &["factor"])
        }
        "llama3" => {
            let settings = Llama3 {
                factor: parameters.required_number("factor")?,
                low_freq_factor: parameters.required_number("low_freq_factor")?,
                high_freq_factor: parameters.required_number("high_freq_factor")?,
                original_max_position_embeddings: window()?,
            };
            (RopeScaling::Llama3(settings), &["factor", "low_freq_factor", "high_freq_factor"])
        }
        "yarn" => (RopeScaling::Yarn(yarn(&parameters, window()?)?), &YARN),
        other => {
            let known = "default, linear, dynamic, llama3 and yarn";
            let problem = format!("have type {other:?}; this version knows {known}");
            return Err(Error::Config { key, problem });
        }
    };
    let original = "original_max_position_embeddings";
    let known = |name: &str| COMMON.contains(&name) || keys.contains(&name) || name == original;
    match parameters.keys().find(|name| !known(name)) {
        Some(name) => {
            let problem = format!("have the key {name}, which type {kind} does not know");
            Err(Error::Config { key, problem })
        }
        None => Ok(Rope { theta, scaling }),
    }
}

const YARN: [&str; 7] = [
    "factor",
    "attention_factor",
    "beta_fast",
    "beta_slow",
    "mscale",
    "mscale_all_dim",
    "truncate",
];

fn yarn(parameters: &Settings<'_>, original: usize) -> Result<Yarn, Error> {
    // Zero means the default, as in `transformers`.
    let beta = |key, default| -> Result<f64, Error> {
        Ok(parameters.number_or_null(key)?.filter(|beta| *beta != 0.0).unwrap_or(default))
    };
    Ok(Yarn {
        factor: parameters.number_or_null("factor")?,
        original_max_position_embeddings: original,
        attention_factor: parameters.number_or_null("attention_factor")?,
        beta_fast: beta("beta_fast", Yarn::BETA_FAST)?,
        beta_slow: beta("beta_slow", Yarn::BETA_SLOW)?,
        mscale: parameters.number_or_null("mscale")?,
        mscale_all_dim: parameters.number_or_null("mscale_all_dim")?,
        truncate: parameters.flag("truncate", true)?,
    })
}

/// `rope_scaling`, which old and new versions of `transformers` read.
pub(super) fn write(config: &DecoderConfig) -> Value {
    match &config.rope_scaling {
        RopeScaling::None => Value::Null,
        RopeScaling::Linear { factor } => json!({ "rope_type": "linear", "factor": factor }),
        RopeScaling::Dynamic { factor } => json!({ "rope_type": "dynamic", "factor": factor }),
        RopeScaling::Llama3(llama3) => json!({
            "rope_type": "llama3",
            "factor": llama3.factor,
            "low_freq_factor": llama3.low_freq_factor,
            "high_freq_factor": llama3.high_freq_factor,
            "original_max_position_embeddings": llama3.original_max_position_embeddings,
        }),
        RopeScaling::Yarn(yarn) => {
            let mut json = json!({
                "rope_type": "yarn",
                "factor": yarn.factor,
                "original_max_position_embeddings": yarn.original_max_position_embeddings,
                "beta_fast": yarn.beta_fast,
                "beta_slow": yarn.beta_slow,
            });
            for (key, value) in [
                ("attention_factor", yarn.attention_factor),
                ("mscale", yarn.mscale),
                ("mscale_all_dim", yarn.mscale_all_dim),
            ] {
                if let Some(value) = value {
                    json[key] = value.into();
                }
            }
            if !yarn.truncate {
                json["truncate"] = false.into();
            }
            json
        }
    }
}
