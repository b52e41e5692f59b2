//! `generate` and `eval`: what decodes with a model.

use std::path::PathBuf;

use afterthought_tasks::{Profile, TaskName};
use clap::{ArgGroup, Args, ValueEnum};

use super::Split;
use super::tasks::{profile_parser, task_parser};

/// How completions are sampled. What is not given comes from the model's generation_config.json.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Sampling")]
pub(crate) struct SamplingArgs {
    /// Tokens to generate for each prompt.
    #[arg(long, value_name = "N")]
    pub(crate) gen_length: Option<usize>,
    /// Tokens decoded together, left to right; must divide the generation length.
    #[arg(long, value_name = "N")]
    pub(crate) block_length: Option<usize>,
    /// Denoising steps over all blocks; must be a multiple of the number of blocks.
    #[arg(long, value_name = "N")]
    pub(crate) steps: Option<usize>,
    /// Sampling temperature; 0 takes the most likely token.
    #[arg(long, value_name = "F", allow_negative_numbers = true)]
    pub(crate) temperature: Option<f64>,
    /// Classifier-free guidance; 0 is off and twice as fast.
    #[arg(long, value_name = "F", allow_negative_numbers = true)]
    pub(crate) cfg_scale: Option<f64>,
    /// Which predictions are kept at a step.
    #[arg(long, value_enum, value_name = "RULE")]
    pub(crate) remasking: Option<Remasking>,
    /// Commit every token at least this probable, so that easy text takes fewer steps.
    #[arg(long, value_name = "F", allow_negative_numbers = true, conflicts_with = "steps")]
    pub(crate) threshold: Option<f64>,
    /// Commit as many tokens n as keep (n + 1)(1 - probability of the least sure) below this.
    #[arg(
        long,
        value_name = "F",
        allow_negative_numbers = true,
        conflicts_with_all = ["steps", "threshold"]
    )]
    pub(crate) factor: Option<f64>,
    /// What a step recomputes; all but exact are faster and change what is written.
    #[arg(long, value_enum, default_value_t = Cache::Exact, value_name = "MODE")]
    pub(crate) cache: Cache,
    /// Seed of the random streams.
    #[arg(long, default_value_t = 42, value_name = "N")]
    pub(crate) seed: u64,
}

/// What a denoising step recomputes (Fast-dLLM).
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Cache {
    /// Everything.
    Exact,
    /// From the current block on; the rest once a block.
    Prefix,
    /// The current block; the rest once a block.
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
    /// Model directory (config.json, safetensors, tokenizer.json).
    #[arg(long, value_name = "DIR")]
    pub(crate) model: PathBuf,
    /// One prompt.
    #[arg(long, value_name = "TEXT")]
    pub(crate) prompt: Option<String>,
    /// A file of prompts, one JSON object with `prompt` a line.
    #[arg(long, value_name = "FILE.jsonl")]
    pub(crate) prompts: Option<PathBuf>,
    /// Show how the text emerges from the masks, step by step.
    #[arg(long)]
    pub(crate) show_steps: bool,
    /// Print one JSON document.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) sampling: SamplingArgs,
}

/// `eval`.
#[derive(Debug, Args)]
pub(crate) struct EvalArgs {
    /// Model directory (config.json, safetensors, tokenizer.json).
    #[arg(long, value_name = "DIR")]
    pub(crate) model: PathBuf,
    /// The task to measure.
    #[arg(long, value_name = "NAME", value_parser = task_parser())]
    pub(crate) task: TaskName,
    /// The task's data file; generated tasks (sudoku, countdown) need none.
    #[arg(long, value_name = "FILE")]
    pub(crate) data: Option<PathBuf>,
    /// Which part of a generated task to measure.
    #[arg(long, value_enum, default_value_t = Split::Test, conflicts_with = "data")]
    pub(crate) split: Split,
    /// Measure the first N items only [default: all of FILE, 256 of a generated task].
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
    /// How answers are read and judged.
    #[arg(long, value_name = "NAME", value_parser = profile_parser(), default_value = "strict")]
    pub(crate) profile: Profile,
    /// Write one JSON line for each item: prompt, generation, answer, verdict.
    #[arg(long, value_name = "FILE.jsonl")]
    pub(crate) out: Option<PathBuf>,
    /// Print one JSON document.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) sampling: SamplingArgs,
}
