//! `eval`.

use std::path::PathBuf;

use afterthought_tasks::TaskName;
use clap::Args;

use super::tasks::task_parser;
use super::{SamplingArgs, Split};

/// `eval`.
#[derive(Debug, Args)]
pub(crate) struct EvalArgs {
    /// Model directory (config.json, safetensors, tokenizer.json), or owner/name of a model in the
    /// Hugging Face cache.
    #[arg(long, value_name = "DIR")]
    pub(crate) model: PathBuf,
    /// PEFT directory of a LoRA adapter, merged into the weights as they are loaded.
    #[arg(long, value_name = "DIR")]
    pub(crate) adapter: Option<PathBuf>,
    /// The task to measure; math500 is math.
    #[arg(long, value_name = "NAME", value_parser = task_parser())]
    pub(crate) task: TaskName,
    /// The task's data file [default: made to order for sudoku and countdown; for the others
    /// gsm8k/{test,train}.jsonl or math/{math500,train}.jsonl in the folder AFTERTHOUGHT_DATA].
    #[arg(long, value_name = "FILE")]
    pub(crate) data: Option<PathBuf>,
    /// Which part of a task to measure.
    #[arg(long, value_enum, default_value_t = Split::Test, conflicts_with = "data")]
    pub(crate) split: Split,
    /// Measure the first N items only [default: all of a file, 256 of a generated task].
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
    /// Completions drawn for each item; more than one adds pass@k and the majority vote.
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub(crate) samples: usize,
    /// Append every completion to this file as it is finished, one JSON line each.
    #[arg(long, value_name = "FILE.jsonl")]
    pub(crate) out: Option<PathBuf>,
    /// Continue the file of --out: what it holds is not decoded again.
    #[arg(long, requires = "out")]
    pub(crate) resume: bool,
    /// Print one JSON document.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) prompt: EvalPromptArgs,
    #[command(flatten)]
    pub(crate) sampling: SamplingArgs,
}

/// What an item's prompt looks like.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Prompt")]
pub(crate) struct EvalPromptArgs {
    /// Worked examples before each question (gsm8k, math); 0 asks for the answer in tags instead.
    #[arg(long, default_value_t = 0, value_name = "K")]
    pub(crate) shots: usize,
    /// Seed of the choice of examples, the same for every item.
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) shots_seed: u64,
    /// Take the examples from this file [default: gsm8k/train.jsonl or math/train.jsonl in the folder
    /// AFTERTHOUGHT_DATA].
    #[arg(long, value_name = "FILE")]
    pub(crate) shots_data: Option<PathBuf>,
    /// Show the worked examples as turns of a conversation, the questions the user's and the answers
    /// the assistant's; the model needs a chat template.
    #[arg(long)]
    pub(crate) few_shot_turns: bool,
    /// Begin every completion with this text, such as `<reasoning>`.
    #[arg(long, value_name = "TEXT")]
    pub(crate) prefill: Option<String>,
}
