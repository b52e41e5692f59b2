//! From flags, generation_config.json and the model's own numbers to parameters of masked-diffusion
//! sampling.

use afterthought_models::DecoderConfig;
use afterthought_sampling::diffusion::{
    CacheMode, CommitRule, DiffusionParams, ParamsError, Remasking,
};
use serde::Serialize;

use crate::args::{Cache, Remasking as RemaskingFlag, SamplingArgs};
use crate::commands::generation_config::{GenerationConfig, RemaskingName};
use crate::commands::loaded::Loaded;
use crate::exit::UsageError;

/// Tokens of a completion when nobody says.
const GEN_LENGTH: usize = 64;
/// Longest block when nobody says.
const BLOCK_LENGTH: usize = 32;
/// Most rows decoded together.
const ROWS: usize = 256;
/// Most logits that a forward pass may return: 256 MiB.
const LOGITS: usize = 1 << 26;

/// The parameters for a masked-diffusion model.
///
/// # Errors
/// A usage error for parameters that do not fit together.
pub(crate) fn diffusion_params(
    args: &SamplingArgs,
    file: &GenerationConfig,
    config: &DecoderConfig,
    loaded: &Loaded,
    mask_id: u32,
) -> anyhow::Result<DiffusionParams> {
    let without_effect = |flag: &str, mode: &str| {
        let message = format!("{flag} has no effect without --cache {mode}");
        UsageError::new(message).hint("leave it out, or choose the cache")
    };
    if args.cache_refresh.is_some() && args.cache == Some(Cache::Exact) {
        return Err(without_effect("--cache-refresh", "prefix or dual").into());
    }
    if args.cache_ahead.is_some() && args.cache != Some(Cache::Dual) {
        return Err(without_effect("--cache-ahead", "dual").into());
    }
    let eos_id = loaded.eos()?;
    let (gen_length, block_length, steps) = lengths(args, file);
    let rows = (LOGITS / config.vocab_size / block_length.max(1)).clamp(1, ROWS);
    let params = DiffusionParams {
        block_length,
        commit: match (args.threshold, args.factor) {
            (Some(threshold), _) => CommitRule::Threshold(threshold as f32),
            (_, Some(factor)) => CommitRule::Factor(factor as f32),
            _ => CommitRule::Schedule { steps },
        },
        cache: match args.cache {
            None | Some(Cache::Exact) => CacheMode::Exact,
            Some(Cache::Prefix) => CacheMode::PrefixCache,
            Some(Cache::Dual) => CacheMode::DualCache,
        },
        cache_refresh: args.cache_refresh,
        cache_ahead: args.cache_ahead.unwrap_or(0),
        temperature: args.temperature.or(file.temperature).unwrap_or(0.0),
        cfg_scale: args.cfg_scale.or(file.cfg_scale).unwrap_or(0.0) as f32,
        remasking: remasking(args.remasking, file.remasking),
        suppress: loaded.unused_ids(),
        stop_after_eos: true,
        max_rows: args.batch.unwrap_or(rows),
        ..DiffusionParams::new(gen_length, mask_id, eos_id, config.pad_token_id.unwrap_or(eos_id))
    };
    params.validate(&[], config.vocab_size).map_err(usage)?;
    Ok(params)
}

/// Checks what the lengths of prompts do not show.
///
/// # Errors
/// A usage error that names the first prompt with a mask token.
pub(crate) fn check_diffusion(
    params: &DiffusionParams,
    loaded: &Loaded,
    prompts: &[Vec<u32>],
    name: &dyn Fn(usize) -> String,
) -> anyhow::Result<()> {
    if let Some(index) = prompts.iter().position(|prompt| prompt.contains(&params.mask_id)) {
        let message = format!(
            "{} contains the mask token, which stands for what is to be written",
            name(index)
        );
        return Err(UsageError::new(message).hint("leave it out").into());
    }
    params.validate(prompts, loaded.network.vocab_size()).map_err(usage)?;
    Ok(())
}

/// Generation length, block length and steps. A length that a flag changes keeps the number of
/// tokens a step that the file asks for.
fn lengths(args: &SamplingArgs, file: &GenerationConfig) -> (usize, usize, usize) {
    let gen_length = args.gen_length.or(file.gen_length).unwrap_or(GEN_LENGTH);
    let block_length = args
        .block_length
        .or(file.block_length)
        .unwrap_or_else(|| largest_divisor(gen_length, BLOCK_LENGTH));
    let own = || {
        let steps = file.steps?;
        let theirs = file.gen_length.unwrap_or(gen_length);
        let same =
            theirs == gen_length && file.block_length.unwrap_or(block_length) == block_length;
        Some(if same { steps } else { share(gen_length, block_length, steps, theirs) })
    };
    let steps = args.steps.or_else(own).unwrap_or_else(|| share(gen_length, block_length, 1, 2));
    (gen_length, block_length, steps)
}

/// `steps / of` steps a token, in whole steps a block, at least one each.
fn share(gen_length: usize, block_length: usize, steps: usize, of: usize) -> usize {
    let blocks = gen_length.checked_div(block_length).unwrap_or(0).max(1);
    let in_block = block_length.saturating_mul(steps).checked_div(of).unwrap_or(0);
    blocks * in_block.clamp(1, block_length.max(1))
}

fn largest_divisor(of: usize, at_most: usize) -> usize {
    (1..=at_most).rev().find(|divisor| of.is_multiple_of(*divisor)).unwrap_or(1)
}

fn remasking(flag: Option<RemaskingFlag>, file: Option<RemaskingName>) -> Remasking {
    match (flag, file) {
        (Some(RemaskingFlag::Random), _) | (None, Some(RemaskingName::Random)) => Remasking::Random,
        _ => Remasking::LowConfidence,
    }
}

fn usage(error: ParamsError) -> UsageError {
    let hint = match &error {
        ParamsError::BlockLength { .. } => "--block-length must divide --gen-length",
        ParamsError::StepsOfBlocks { .. } => {
            "--steps must be a multiple of --gen-length / --block-length"
        }
        ParamsError::TooManySteps { .. } => "every step writes at least one token",
        ParamsError::ConfidenceOfRandom => {
            "leave out --threshold or --factor, or --remasking random"
        }
        ParamsError::GuidedCache { .. } => "leave out --cache or --cfg-scale",
        _ => "see --help for the sampling flags",
    };
    UsageError::new(error.to_string()).hint(hint)
}

/// The parameters as a document and as a line.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct DiffusionSettings {
    gen_length: usize,
    block_length: usize,
    /// Absent under a threshold or factor, which decide by themselves.
    #[serde(skip_serializing_if = "Option::is_none")]
    steps: Option<usize>,
    temperature: f64,
    cfg_scale: f32,
    remasking: RemaskingName,
    #[serde(skip_serializing_if = "Option::is_none")]
    threshold: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    factor: Option<f32>,
    cache: &'static str,
    /// Absent where the first step of each block fills the cache anew.
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_refresh: Option<usize>,
    /// Absent where it is 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_ahead: Option<usize>,
    seed: u64,
}

impl DiffusionSettings {
    pub(crate) fn new(params: &DiffusionParams, seed: u64) -> Self {
        Self {
            gen_length: params.gen_length,
            block_length: params.block_length,
            steps: params.commit.steps(),
            temperature: params.temperature,
            cfg_scale: params.cfg_scale,
            remasking: match params.remasking {
                Remasking::LowConfidence => RemaskingName::LowConfidence,
                Remasking::Random => RemaskingName::Random,
            },
            threshold: match params.commit {
                CommitRule::Threshold(threshold) => Some(threshold),
                _ => None,
            },
            factor: match params.commit {
                CommitRule::Factor(factor) => Some(factor),
                _ => None,
            },
            cache: params.cache.name(),
            cache_refresh: params.cache_refresh,
            cache_ahead: (params.cache_ahead > 0).then_some(params.cache_ahead),
            seed,
        }
    }

    /// One line for people: what is sampled, and how.
    pub(crate) fn line(&self) -> String {
        let mut line = format!("{} tokens in blocks of {}", self.gen_length, self.block_length);
        match (self.steps, self.threshold, self.factor) {
            (Some(steps), ..) => line += &format!(", {steps} steps"),
            (_, Some(threshold), _) => line += &format!(", threshold {threshold}"),
            (.., Some(factor)) => line += &format!(", factor {factor}"),
            _ => {}
        }
        if self.cache != CacheMode::Exact.name() {
            line += &format!(", {} cache", self.cache);
            if let Some(steps) = self.cache_refresh {
                line += &format!(" filled anew every {steps} steps");
            }
            if let Some(ahead) = self.cache_ahead {
                line += &format!(", {ahead} tokens ahead");
            }
        }
        line += &format!(", temperature {}", self.temperature);
        if self.cfg_scale > 0.0 {
            line += &format!(", guidance {}", self.cfg_scale);
        }
        if self.remasking == RemaskingName::Random {
            line += ", random remasking";
        }
        line + &format!(", seed {}", self.seed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(gen_length: Option<usize>, block_length: Option<usize>) -> SamplingArgs {
        SamplingArgs {
            gen_length,
            block_length,
            steps: None,
            temperature: None,
            cfg_scale: None,
            remasking: None,
            threshold: None,
            factor: None,
            top_k: None,
            top_p: None,
            cache: None,
            cache_refresh: None,
            cache_ahead: None,
            batch: None,
            seed: 0,
        }
    }

    #[test]
    fn defaults_fit_together_at_every_length() {
        let none = GenerationConfig::default();
        assert_eq!(lengths(&args(None, None), &none), (64, 32, 32));
        assert_eq!(lengths(&args(Some(48), None), &none), (48, 24, 24));
        for gen_length in 1..200 {
            let (_, block, steps) = lengths(&args(Some(gen_length), None), &none);
            let params = DiffusionParams {
                block_length: block,
                commit: CommitRule::Schedule { steps },
                ..DiffusionParams::new(gen_length, 2, 1, 1)
            };
            assert_eq!(params.validate(&[], 10), Ok(()));
        }
    }

    #[test]
    fn the_file_decides_unless_a_flag_does() {
        let file = GenerationConfig {
            gen_length: Some(32),
            block_length: Some(4),
            steps: Some(16),
            ..GenerationConfig::default()
        };
        assert_eq!(lengths(&args(None, None), &file), (32, 4, 16));
        // Two tokens a step, as in the file.
        assert_eq!(lengths(&args(Some(64), None), &file), (64, 4, 32));
        assert_eq!(lengths(&args(None, Some(8)), &file), (32, 8, 16));
        let given = SamplingArgs { steps: Some(8), ..args(None, None) };
        assert_eq!(lengths(&given, &file), (32, 4, 8));
    }
}
