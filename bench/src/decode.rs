//! Autoregressive sampling with a key/value cache: `n` samples of one prompt.

use std::path::Path;

use afterthought_models::hub;
use afterthought_models::inference::InferenceModel;
use afterthought_sampling::autoregressive::{AutoregressiveParams, Prompt, SeedKey, generate};
use anyhow::{Context, ensure};
use clap::Args;
use serde::Deserialize;

use crate::worker::{object, serve};

/// What to decode.
#[derive(Args)]
pub(crate) struct Sampling {
    /// Samples of the prompt.
    #[arg(long)]
    samples: u64,
    /// Tokens of the prompt.
    #[arg(long)]
    prompt_length: usize,
    /// Tokens of a completion; nothing ends one earlier.
    #[arg(long)]
    gen_length: usize,
}

/// The part of `inputs.json` that is needed here.
#[derive(Deserialize)]
struct Prompts {
    prompts: Vec<Vec<u32>>,
}

/// Serves whole generations of all samples, the prompt's pass included.
pub(crate) fn run(directory: &Path, sampling: &Sampling) -> anyhow::Result<()> {
    let path = directory.join("inputs.json");
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let inputs: Prompts = serde_json::from_str(&text)?;
    let prompt = inputs.prompts.first().and_then(|prompt| prompt.get(..sampling.prompt_length));
    let prompt = prompt.context("the first prompt of inputs.json is too short")?;
    let model = hub::load_inference(directory)?;
    let logits = model.logits(&[(prompt, &[prompt.len() - 1])])?;
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.iter().map(|logit| f64::from(logit - largest).exp()).sum();
    let log_probs: Vec<f64> =
        logits.iter().take(16).map(|logit| f64::from(logit - largest) - sum.ln()).collect();
    let ready = object([
        ("log_probs", log_probs.into()),
        ("parameters", parameters(&model).into()),
        ("weight_bytes", model.bytes().into()),
    ]);
    let params = AutoregressiveParams::new(sampling.gen_length, Vec::new());
    let samples: Vec<u64> = (0..sampling.samples).collect();
    let mut step = 0;
    serve(ready, || {
        let prompts = [Prompt { tokens: prompt, samples: &samples }];
        step += 1;
        let generation = generate(&model, &prompts, &params, SeedKey { seed: 0, step })?;
        let tokens: usize =
            generation.completions.iter().flatten().map(|completion| completion.tokens.len()).sum();
        ensure!(tokens == samples.len() * sampling.gen_length, "{tokens} tokens");
        Ok(object([("units", tokens.into())]))
    })
}

/// Weights of a model of this shape, a tied table counted once.
fn parameters(model: &InferenceModel) -> usize {
    let config = model.config();
    let (hidden, inner) = (config.hidden_size, config.intermediate_size);
    let q = config.num_attention_heads * config.head_dim;
    let kv = config.num_key_value_heads * config.head_dim;
    let tables = if config.tie_word_embeddings { 1 } else { 2 };
    let biases = if config.attention_bias { q + 2 * kv } else { 0 };
    let norms = 2 * hidden + if config.qk_norm { 2 * config.head_dim } else { 0 };
    let layer = hidden * (2 * q + 2 * kv) + biases + 3 * hidden * inner + norms;
    tables * config.vocab_size * hidden + config.num_hidden_layers * layer + hidden
}
