//! From flags, generation_config.json and the model's own numbers to parameters of autoregressive
//! sampling.

use afterthought_models::{Network, hub};
use afterthought_sampling::autoregressive::{AutoregressiveParams, ParamsError};
use afterthought_training::PromptFormat;
use serde::Serialize;

use crate::args::SamplingArgs;
use crate::commands::generation_config::GenerationConfig;
use crate::commands::loaded::Loaded;
use crate::exit::UsageError;

/// Most tokens of a completion when nobody says.
const MAX_TOKENS: usize = 256;
/// Most rows decoded together.
const ROWS: usize = 256;
/// Most bytes that the keys and values of all rows may take when nobody says how many rows.
const CACHE_BYTES: usize = 1 << 30;

/// The parameters for a causal model. As in `transformers`, temperature, top_k and top_p of the file
/// count only where it says `do_sample`; without that, and without flags, decoding is greedy.
///
/// # Errors
/// A usage error for parameters that describe no distribution.
pub(crate) fn autoregressive_params(
    args: &SamplingArgs,
    file: &GenerationConfig,
    loaded: &Loaded,
    format: &PromptFormat,
) -> anyhow::Result<AutoregressiveParams> {
    let sampled = file.do_sample.unwrap_or(false);
    let of_file = |temperature: Option<f64>| match sampled {
        true => temperature.unwrap_or(1.0),
        false => 0.0,
    };
    let mut eos_ids = loaded.ends(format)?;
    eos_ids.extend(file.eos_token_id.iter().flat_map(|ids| ids.as_slice()));
    eos_ids.sort_unstable();
    eos_ids.dedup();
    let max_new_tokens = args.gen_length.or(file.max_new_tokens).unwrap_or(MAX_TOKENS);
    let params = AutoregressiveParams {
        temperature: args.temperature.unwrap_or_else(|| of_file(file.temperature)),
        // 0 is how the file switches it off.
        top_k: args.top_k.or(file.top_k.filter(|k| sampled && *k > 0)),
        top_p: args.top_p.or(file.top_p.filter(|_| sampled)),
        suppress: loaded.unused_ids(),
        forced_first: forced(file.forced_bos_token_id, "forced_bos_token_id", loaded)?,
        forced_last: forced(file.forced_eos_token_id, "forced_eos_token_id", loaded)?,
        max_rows: args.batch.unwrap_or(usize::MAX),
        ..AutoregressiveParams::new(max_new_tokens, eos_ids)
    };
    check_autoregressive(&params, loaded, &[])?;
    Ok(params)
}

/// A token that an encoder-decoder must write: what generation_config.json says, else what old
/// config.json files do. Decoders have no such tokens.
fn forced(of_file: Option<u32>, key: &str, loaded: &Loaded) -> anyhow::Result<Option<u32>> {
    if let Network::Decoder(_) = loaded.network {
        return Ok(None);
    }
    if of_file.is_some() {
        return Ok(of_file);
    }
    let path = loaded.directory.join("config.json");
    match hub::read_object(&path)?.get(key).filter(|value| !value.is_null()) {
        None => Ok(None),
        Some(value) => match value.as_u64().and_then(|id| u32::try_from(id).ok()) {
            Some(id) => Ok(Some(id)),
            None => anyhow::bail!("{}: {key} is {value}, not a token id", path.display()),
        },
    }
}

/// Checks what the lengths do not show.
pub(crate) fn check_autoregressive(
    params: &AutoregressiveParams,
    loaded: &Loaded,
    prompts: &[Vec<u32>],
) -> anyhow::Result<()> {
    let prompts: Vec<_> = (prompts.iter())
        .map(|tokens| afterthought_sampling::autoregressive::Prompt { tokens, samples: &[] })
        .collect();
    params
        .validate(&prompts, loaded.network.vocab_size(), loaded.network.all_positions())
        .map_err(|error| usage(&error).into())
}

/// Rows of `positions` tokens whose keys and values fit the memory set aside for them, at least one.
pub(crate) fn rows_in_memory(loaded: &Loaded, positions: usize) -> usize {
    let position = size_of::<f32>() * loaded.network.cached_values();
    (CACHE_BYTES / position.max(1) / positions.max(1)).clamp(1, ROWS)
}

fn usage(error: &ParamsError) -> UsageError {
    let hint = match error {
        ParamsError::OutOfVocabulary { .. } => {
            "tokenizer.json, config.json and generation_config.json belong to different models"
        }
        _ => "see --help for the sampling flags",
    };
    UsageError::new(error.to_string()).hint(hint)
}

/// The parameters as a document and as a line.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct AutoregressiveSettings {
    max_tokens: usize,
    temperature: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_k: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    eos_ids: Vec<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    forced_first: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    forced_last: Option<u32>,
    seed: u64,
}

impl AutoregressiveSettings {
    pub(crate) fn new(params: &AutoregressiveParams, seed: u64) -> Self {
        Self {
            max_tokens: params.max_new_tokens,
            temperature: params.temperature,
            top_k: params.top_k,
            top_p: params.top_p,
            eos_ids: params.eos_ids.clone(),
            forced_first: params.forced_first,
            forced_last: params.forced_last,
            seed,
        }
    }

    /// One line for people.
    pub(crate) fn line(&self) -> String {
        let mut line =
            format!("at most {} tokens, temperature {}", self.max_tokens, self.temperature);
        if let Some(top_k) = self.top_k {
            line += &format!(", top-k {top_k}");
        }
        if let Some(top_p) = self.top_p {
            line += &format!(", top-p {top_p}");
        }
        line + &format!(", seed {}", self.seed)
    }
}
