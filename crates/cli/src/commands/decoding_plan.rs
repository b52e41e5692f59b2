//! How to decode with a model of either kind: the one entrance from flags to parameters.

use afterthought_models::{Network, Positions};
use afterthought_sampling::autoregressive::AutoregressiveParams;
use afterthought_sampling::diffusion::DiffusionParams;
use afterthought_training::PromptFormat;
use serde::Serialize;

use crate::args::SamplingArgs;
use crate::commands::autoregressive_flags::{
    AutoregressiveSettings, autoregressive_params, check_autoregressive, rows_in_memory,
};
use crate::commands::generation_config::GenerationConfig;
use crate::commands::loaded::Loaded;
use crate::commands::sampling_flags::{DiffusionSettings, check_diffusion, diffusion_params};
use crate::console::Console;
use crate::exit::UsageError;

/// Parameters for the kind of model that was loaded.
#[derive(Clone, Debug)]
pub(crate) enum DecodingPlan {
    /// Bidirectional attention and a mask token.
    Diffusion(DiffusionParams),
    /// Causal attention, in a decoder or in the second half of an encoder-decoder.
    Autoregressive(AutoregressiveParams),
}

impl DecodingPlan {
    /// The parameters for a model: flags, then its generation_config.json, then defaults.
    ///
    /// # Errors
    /// A usage error for flags of the other kind, for parameters that do not fit together and for a
    /// model of neither kind; a failure for a malformed generation_config.json.
    pub(crate) fn resolve(
        args: &SamplingArgs,
        loaded: &Loaded,
        format: &PromptFormat,
        console: &Console,
    ) -> anyhow::Result<Self> {
        let file = GenerationConfig::read(&loaded.directory)?;
        for setting in file.unused() {
            console
                .warn(&format!("generation_config.json: {setting} is not supported and left out"));
        }
        if args.batch == Some(0) {
            return Err(UsageError::new("--batch is 0").hint("decode at least one row").into());
        }
        let bidirectional = match &loaded.network {
            Network::Decoder(config) if !config.causal => Some(config),
            _ => None,
        };
        let Some(config) = bidirectional else {
            refuse(loaded, "masked-diffusion models", "autoregressive", &diffusion_only(args))?;
            let params = autoregressive_params(args, &file, loaded, format)?;
            return Ok(Self::Autoregressive(params));
        };
        let Some(mask_id) = config.mask_token_id else {
            let message = format!(
                "{} can be decoded neither way: its config.json has bidirectional attention and no \
                 mask_token_id",
                loaded.directory.display()
            );
            return Err(UsageError::new(message)
                .hint("masked-diffusion models have a mask token, autoregressive ones causal attention")
                .into());
        };
        refuse(loaded, "autoregressive models", "masked diffusion", &causal_only(args))?;
        Ok(Self::Diffusion(diffusion_params(args, &file, config, loaded, mask_id)?))
    }

    /// Checks prompts against the parameters and the model's positions, and chooses the number of rows
    /// of a pass where no flag does; `name(i)` says which prompt is meant.
    ///
    /// # Errors
    /// A usage error that names the first prompt that does not fit.
    pub(crate) fn fit(
        &mut self,
        loaded: &Loaded,
        prompts: &[Vec<u32>],
        name: &dyn Fn(usize) -> String,
    ) -> anyhow::Result<()> {
        check_lengths(self.max_tokens(), loaded, prompts, name)?;
        match self {
            Self::Diffusion(params) => check_diffusion(params, loaded, prompts, name),
            Self::Autoregressive(params) => {
                check_autoregressive(params, loaded, prompts)?;
                if params.max_rows == usize::MAX {
                    let longest = prompts.iter().map(Vec::len).max().unwrap_or(0);
                    params.max_rows = rows_in_memory(loaded, longest + params.max_new_tokens);
                }
                Ok(())
            }
        }
    }

    /// Most tokens of a completion.
    pub(crate) fn max_tokens(&self) -> usize {
        match self {
            Self::Diffusion(params) => params.gen_length,
            Self::Autoregressive(params) => params.max_new_tokens,
        }
    }

    /// Most rows decoded together.
    pub(crate) fn max_rows(&self) -> usize {
        match self {
            Self::Diffusion(params) => params.max_rows,
            Self::Autoregressive(params) => params.max_rows,
        }
    }

    /// The parameters that decide on a result, as a document.
    pub(crate) fn settings(&self, seed: u64) -> Settings {
        match self {
            Self::Diffusion(params) => Settings::Diffusion(DiffusionSettings::new(params, seed)),
            Self::Autoregressive(params) => {
                Settings::Autoregressive(AutoregressiveSettings::new(params, seed))
            }
        }
    }
}

/// The parameters as a document and as a line.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "kind")]
pub(crate) enum Settings {
    #[serde(rename = "masked diffusion")]
    Diffusion(DiffusionSettings),
    #[serde(rename = "autoregressive")]
    Autoregressive(AutoregressiveSettings),
}

impl Settings {
    /// One line for people: what is sampled, and how.
    pub(crate) fn line(&self) -> String {
        match self {
            Self::Diffusion(settings) => settings.line(),
            Self::Autoregressive(settings) => settings.line(),
        }
    }
}

fn check_lengths(
    max_tokens: usize,
    loaded: &Loaded,
    prompts: &[Vec<u32>],
    name: &dyn Fn(usize) -> String,
) -> Result<(), UsageError> {
    for (index, prompt) in prompts.iter().enumerate() {
        if prompt.is_empty() {
            return Err(UsageError::new(format!("{} is empty", name(index)))
                .hint("this model has no begin-of-sequence token to start from"));
        }
        let positions = match loaded.network.positions() {
            Positions::Shared(positions) => positions,
            Positions::Each(most) => {
                if prompt.len() > most || max_tokens > most {
                    let message = format!(
                        "{} has {} tokens and is to give {max_tokens}: the most is {most} each",
                        name(index),
                        prompt.len()
                    );
                    return Err(
                        UsageError::new(message).hint("lower --gen-length or shorten the prompt")
                    );
                }
                continue;
            }
        };
        let total = prompt.len().saturating_add(max_tokens);
        if total > positions {
            let message = format!(
                "{} has {} tokens: with {max_tokens} to generate that is {total}, the model has \
                 {positions} positions",
                name(index),
                prompt.len(),
            );
            return Err(UsageError::new(message).hint("lower --gen-length or shorten the prompt"));
        }
    }
    Ok(())
}

/// Flags that say nothing to an autoregressive model, where they were given.
fn diffusion_only(args: &SamplingArgs) -> Vec<&'static str> {
    given(&[
        ("--block-length", args.block_length.is_some()),
        ("--steps", args.steps.is_some()),
        ("--cfg-scale", args.cfg_scale.is_some()),
        ("--remasking", args.remasking.is_some()),
        ("--threshold", args.threshold.is_some()),
        ("--factor", args.factor.is_some()),
        ("--cache", args.cache.is_some()),
    ])
}

/// Flags that say nothing to a masked-diffusion model, where they were given.
fn causal_only(args: &SamplingArgs) -> Vec<&'static str> {
    given(&[("--top-k", args.top_k.is_some()), ("--top-p", args.top_p.is_some())])
}

fn given(flags: &[(&'static str, bool)]) -> Vec<&'static str> {
    flags.iter().filter(|(_, given)| *given).map(|(flag, _)| *flag).collect()
}

fn refuse(loaded: &Loaded, of: &str, kind: &str, flags: &[&str]) -> Result<(), UsageError> {
    if flags.is_empty() {
        return Ok(());
    }
    let (belong, them) = if flags.len() == 1 { ("belongs", "it") } else { ("belong", "them") };
    let message = format!(
        "{} {belong} to {of}; {} is a model of the other kind, {kind}",
        flags.join(", "),
        loaded.directory.display()
    );
    Err(UsageError::new(message).hint(format!("leave {them} out")))
}
