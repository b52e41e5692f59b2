//! The command line: every command, flag and default.

use std::path::PathBuf;

use afterthought_tasks::{Profile, TaskName};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};

/// Names of the tasks, for the help; the tasks crate parses them.
const TASKS: [&str; 4] = ["sudoku", "countdown", "gsm8k", "math"];
/// Names of the profiles, for the help; the tasks crate parses them.
const PROFILES: [&str; 2] = ["d1", "strict"];

/// Teach small language models to reason, after pre-training.
#[derive(Debug, Parser)]
#[command(
    name = "afterthought",
    version,
    max_term_width = 100,
    after_help = "Results go to stdout, progress to stderr. Exit codes: 0 done, 1 failed, 2 usage or \
                  configuration,\n3 interrupted after a checkpoint, 4 already complete."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Flags that every command takes.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct GlobalArgs {
    /// Print no progress; warnings and errors still appear.
    #[arg(long, short, global = true, help_heading = "Output")]
    pub(crate) quiet: bool,
    /// When to colour the output: auto (respects NO_COLOR), always, never.
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "WHEN",
        default_value_t,
        hide_possible_values = true,
        help_heading = "Output"
    )]
    pub(crate) color: ColorWhen,
}

/// When to colour the output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorWhen {
    /// On a terminal, unless NO_COLOR is set.
    #[default]
    Auto,
    /// Always, even into a pipe and with NO_COLOR set.
    Always,
    /// Never.
    Never,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Reproduce a paper at laptop scale, from nothing, and write a report.
    Reproduce(ReproduceArgs),
    /// Re-grade generations that already exist; no model is loaded.
    Grade(GradeArgs),
    /// Generate completions with a model.
    Generate(GenerateArgs),
    /// Measure a model's accuracy on a task, with its standard error.
    Eval(EvalArgs),
    /// Create and inspect model directories.
    #[command(subcommand)]
    Model(ModelCommand),
    /// Generate task data.
    #[command(subcommand)]
    Data(DataCommand),
    /// Describe this machine and check that everything works on it.
    Doctor(DoctorArgs),
}

/// `reproduce`.
#[derive(Debug, Args)]
pub(crate) struct ReproduceArgs {
    /// The paper.
    #[arg(value_enum)]
    pub(crate) paper: Paper,
    /// How much to compute: `laptop` takes minutes, `smoke` only shows that every step runs.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) preset: RunPreset,
    /// Seed of every random stream; the same seed gives the same numbers.
    #[arg(long, default_value_t = 42, value_name = "N")]
    pub(crate) seed: u64,
    /// Directory of the run [default: runs/<paper>-<preset>-<seed>].
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Also run the paper's ablations.
    #[arg(long)]
    pub(crate) ablations: bool,
    /// Print report.json on stdout instead of the summary.
    #[arg(long)]
    pub(crate) json: bool,
}

/// The papers that `reproduce` knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Paper {
    /// SFT and diffu-GRPO for masked-diffusion language models (arXiv 2504.12216).
    D1,
}

/// How much `reproduce` computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum RunPreset {
    /// The real comparison, in minutes on two CPU cores.
    #[default]
    Laptop,
    /// A few steps of everything, to show that it runs; its numbers mean nothing.
    Smoke,
}

/// `grade`.
#[derive(Debug, Args)]
pub(crate) struct GradeArgs {
    /// The task that the generations answer.
    #[arg(long, value_name = "NAME", value_parser = task_parser())]
    pub(crate) task: TaskName,
    /// How answers are read and judged.
    #[arg(long, value_name = "NAME", value_parser = profile_parser())]
    pub(crate) profile: Profile,
    /// Files of generations, graded together in this order.
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Print one JSON document with a verdict for each item.
    #[arg(long)]
    pub(crate) json: bool,
}

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
    #[arg(long, value_name = "F", allow_negative_numbers = true)]
    pub(crate) threshold: Option<f64>,
    /// Seed of the random streams.
    #[arg(long, default_value_t = 42, value_name = "N")]
    pub(crate) seed: u64,
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

/// A part of a task's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Split {
    /// What models learn from.
    Train,
    /// What decisions are made on.
    Validation,
    /// What results are reported on, once.
    Test,
}

impl Split {
    /// As on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Validation => "validation",
            Self::Test => "test",
        }
    }
}

/// `model`.
#[derive(Debug, Subcommand)]
pub(crate) enum ModelCommand {
    /// Create a model with random weights in a new directory.
    New(ModelNewArgs),
    /// Describe the model in a directory.
    Info(ModelInfoArgs),
}

/// `model new`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("vocabulary").required(true).args(["tokenizer", "alphabet", "words"]))]
pub(crate) struct ModelNewArgs {
    /// The directory to create.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// The size to start from; the flags below change single numbers of it.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) preset: ModelPreset,
    /// Use this tokenizer.json.
    #[arg(long, value_name = "FILE")]
    pub(crate) tokenizer: Option<PathBuf>,
    /// Make a tokenizer with one token for each character of TEXT.
    #[arg(long, value_name = "TEXT")]
    pub(crate) alphabet: Option<String>,
    /// Make a tokenizer with one token for each line of FILE.
    #[arg(long, value_name = "FILE")]
    pub(crate) words: Option<PathBuf>,
    /// Width of the residual stream.
    #[arg(long, value_name = "N", help_heading = "Architecture")]
    pub(crate) hidden: Option<usize>,
    /// Decoder blocks.
    #[arg(long, value_name = "N", help_heading = "Architecture")]
    pub(crate) layers: Option<usize>,
    /// Attention heads.
    #[arg(long, value_name = "N", help_heading = "Architecture")]
    pub(crate) heads: Option<usize>,
    /// Key and value heads; must divide the number of heads [default: as many as heads].
    #[arg(long, value_name = "N", help_heading = "Architecture")]
    pub(crate) kv_heads: Option<usize>,
    /// Width of the gated feed-forward layer.
    #[arg(long, value_name = "N", help_heading = "Architecture")]
    pub(crate) intermediate: Option<usize>,
    /// Causal attention (autoregressive) instead of bidirectional (masked diffusion).
    #[arg(long, help_heading = "Architecture")]
    pub(crate) causal: bool,
    /// Normalise queries and keys, as Qwen3 does.
    #[arg(long, help_heading = "Architecture")]
    pub(crate) qk_norm: bool,
    /// Biases on the query, key and value projections, as Qwen2 has.
    #[arg(long, help_heading = "Architecture")]
    pub(crate) qkv_bias: bool,
    /// Use the embedding matrix as the output head.
    #[arg(long, help_heading = "Architecture")]
    pub(crate) tie_head: bool,
    /// Seed of the initial weights.
    #[arg(long, default_value_t = 42, value_name = "N")]
    pub(crate) seed: u64,
}

/// Sizes of new models; parameters are counted without the vocabulary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ModelPreset {
    /// Width 96, 3 layers, 4 heads, feed-forward 256: 0.33 M parameters.
    #[default]
    Tiny,
    /// Width 128, 4 layers, 4 heads, feed-forward 352: 0.80 M parameters.
    Small,
    /// Width 256, 6 layers, 8 heads, feed-forward 704: 4.8 M parameters.
    Medium,
}

/// `model info`.
#[derive(Debug, Args)]
pub(crate) struct ModelInfoArgs {
    /// Model directory.
    #[arg(value_name = "DIR")]
    pub(crate) model: PathBuf,
    /// Print one JSON document.
    #[arg(long)]
    pub(crate) json: bool,
}

/// `data`.
#[derive(Debug, Subcommand)]
pub(crate) enum DataCommand {
    /// Generate problems of a task into a JSONL file.
    Generate(DataGenerateArgs),
}

/// `data generate`.
#[derive(Debug, Args)]
pub(crate) struct DataGenerateArgs {
    /// The task.
    #[arg(long, value_enum)]
    pub(crate) task: GeneratedTask,
    /// Number of problems.
    #[arg(long, value_name = "N")]
    pub(crate) count: usize,
    /// Which part of the problem space; the parts never overlap.
    #[arg(long, value_enum, default_value_t = Split::Train)]
    pub(crate) split: Split,
    /// Sudoku: empty cells in each puzzle, 1 to 12 [default: 6, 7 or 8].
    #[arg(long, value_name = "N")]
    pub(crate) empties: Option<usize>,
    /// Countdown: numbers in each problem. 3 makes problems for small models, numbers 1-9 and targets
    /// 10-60; other counts make the published kind, both 1-100 [default: 3].
    #[arg(long, value_name = "N")]
    pub(crate) numbers: Option<usize>,
    /// Seed of the random streams.
    #[arg(long, default_value_t = 42, value_name = "N")]
    pub(crate) seed: u64,
    /// The file to write.
    #[arg(long, value_name = "FILE.jsonl")]
    pub(crate) out: PathBuf,
}

/// Tasks whose problems are generated rather than read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum GeneratedTask {
    /// 4x4 Sudoku with one solution.
    Sudoku,
    /// Reach a target with each number used once.
    Countdown,
}

/// `doctor`.
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Print one JSON document.
    #[arg(long)]
    pub(crate) json: bool,
}

fn task_parser() -> impl TypedValueParser<Value = TaskName> {
    PossibleValuesParser::new(TASKS).try_map(|name| name.parse::<TaskName>())
}

fn profile_parser() -> impl TypedValueParser<Value = Profile> {
    PossibleValuesParser::new(PROFILES).try_map(|name| name.parse::<Profile>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_help_names_every_task_and_profile() {
        assert_eq!(TaskName::ALL.map(|task| task.to_string()), TASKS);
        assert_eq!(Profile::ALL.map(|profile| profile.to_string()), PROFILES);
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_and_flag_has_a_help_line() {
        fn check(command: &clap::Command) {
            assert!(command.get_about().is_some(), "{} has no help", command.get_name());
            for argument in command.get_arguments() {
                assert!(
                    argument.get_help().is_some_and(|help| !help.to_string().is_empty()),
                    "{} {} has no help",
                    command.get_name(),
                    argument.get_id()
                );
            }
            command.get_subcommands().for_each(check);
        }
        check(&Cli::command());
    }

    #[test]
    fn exactly_one_prompt_source_is_required() {
        let parse = |extra: &[&str]| {
            Cli::try_parse_from(["afterthought", "generate", "--model", "m"].iter().chain(extra))
        };
        assert!(parse(&["--prompt", "hello"]).is_ok());
        assert!(parse(&["--prompts", "p.jsonl"]).is_ok());
        assert!(parse(&[]).is_err());
        assert!(parse(&["--prompt", "hello", "--prompts", "p.jsonl"]).is_err());
    }
}
