//! `generate`, and the sampling flags of all that decodes with a model.

use std::path::PathBuf;

use clap::{ArgGroup, Args, ValueEnum};

/// How completions are sampled. What is not given comes from the model's generation_config.json.
/// Flags that belong to the other kind of model are refused.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Sampling")]
pub(crate) struct SamplingArgs {
    /// Tokens to generate for each prompt; a causal model may end earlier.
    #[arg(long, visible_alias = "max-tokens", value_name = "N")]
    pub(crate) gen_length: Option<usize>,
    /// Masked diffusion: tokens decoded together, left to right; must divide the generation length.
    #[arg(long, value_name = "N")]
    pub(crate) block_length: Option<usize>,
    /// Masked diffusion: denoising steps over all blocks; must be a multiple of the number of blocks.
    #[arg(long, value_name = "N")]
    pub(crate) steps: Option<usize>,
    /// Sampling temperature; 0 takes the most likely token.
    #[arg(long, value_name = "F", allow_negative_numbers = true)]
    pub(crate) temperature: Option<f64>,
    /// Causal: draw from this many of the most likely tokens only.
    #[arg(long, value_name = "N")]
    pub(crate) top_k: Option<usize>,
    /// Causal: draw from the most likely tokens that together reach this probability only.
    #[arg(long, value_name = "F", allow_negative_numbers = true)]
    pub(crate) top_p: Option<f64>,
    /// Masked diffusion: classifier-free guidance; 0 is off and twice as fast.
    #[arg(long, value_name = "F", allow_negative_numbers = true)]
    pub(crate) cfg_scale: Option<f64>,
    /// Masked diffusion: which predictions are kept at a step.
    #[arg(long, value_enum, value_name = "RULE")]
    pub(crate) remasking: Option<Remasking>,
    /// Masked diffusion: commit every token at least this probable, so that easy text takes fewer steps.
    #[arg(long, value_name = "F", allow_negative_numbers = true, conflicts_with = "steps")]
    pub(crate) threshold: Option<f64>,
    /// Masked diffusion: commit as many tokens n as keep (n + 1)(1 - probability of the least sure) below this.
    #[arg(
        long,
        value_name = "F",
        allow_negative_numbers = true,
        conflicts_with_all = ["steps", "threshold"]
    )]
    pub(crate) factor: Option<f64>,
    /// Masked diffusion: what a step recomputes; all but exact are faster and change what is written
    /// [default: exact].
    #[arg(long, value_enum, value_name = "MODE")]
    pub(crate) cache: Option<Cache>,
    /// Masked diffusion: steps from one that fills the cache anew to the next [default: the first step
    /// of each block fills it].
    #[arg(long, value_name = "N", requires = "cache")]
    pub(crate) cache_refresh: Option<usize>,
    /// Masked diffusion: tokens after the block that a step with --cache dual recomputes too.
    #[arg(long, value_name = "N", requires = "cache")]
    pub(crate) cache_ahead: Option<usize>,
    /// Sequences decoded together; changes the speed and the memory, never the result.
    #[arg(long, value_name = "N")]
    pub(crate) batch: Option<usize>,
    /// Seed of the random streams.
    #[arg(long, default_value_t = 42, value_name = "N")]
    pub(crate) seed: u64,
}

/// What a denoising step recomputes (Fast-dLLM).
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Cache {
    /// Everything.
    Exact,
    /// From the current block on; the rest now and then (--cache-refresh).
    Prefix,
    /// The current block and --cache-ahead tokens; the rest now and then (--cache-refresh).
    Dual,
}

/// Which predictions a denoising step keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Remasking {
    /// The most confident ones.
    LowConfidence,
    /// Random ones.
    Random,
}

/// `generate`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("input").required(true).args(["prompt", "prompts"]))]
pub(crate) struct GenerateArgs {
    /// Model directory (config.json, safetensors, tokenizer.json), or owner/name of a model in the
    /// Hugging Face cache.
    #[arg(long, value_name = "DIR")]
    pub(crate) model: PathBuf,
    /// PEFT directory of a LoRA adapter, merged into the weights as they are loaded.
    #[arg(long, value_name = "DIR")]
    pub(crate) adapter: Option<PathBuf>,
    /// One prompt.
    #[arg(long, value_name = "TEXT")]
    pub(crate) prompt: Option<String>,
    /// A file of prompts, one JSON object with `prompt` a line.
    #[arg(long, value_name = "FILE.jsonl")]
    pub(crate) prompts: Option<PathBuf>,
    /// Ask in a conversation, through the model's chat template [default where it has one].
    #[arg(long, conflicts_with = "raw", help_heading = "Conversation")]
    pub(crate) chat: bool,
    /// Give the prompt as it is, chat template or not.
    #[arg(long, help_heading = "Conversation")]
    pub(crate) raw: bool,
    /// What the system turn says; asks in a conversation.
    #[arg(long, value_name = "TEXT", conflicts_with = "raw", help_heading = "Conversation")]
    pub(crate) system: Option<String>,
    /// Show how the text emerges from the masks, step by step.
    #[arg(long)]
    pub(crate) show_steps: bool,
    /// Print one JSON document.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) sampling: SamplingArgs,
}
