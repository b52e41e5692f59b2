//! `data` and `doctor`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::Split;

/// `data`.
#[derive(Debug, Subcommand)]
pub(crate) enum DataCommand {
    /// Generate problems of a task into a JSONL file.
    Generate(DataGenerateArgs),
    /// Show rows of a JSONL file as tokens, those that a model learns to write marked.
    Preview(DataPreviewArgs),
    /// Report every bad row of JSONL files, and how long the rows are for a model.
    Check(DataCheckArgs),
}

/// How rows become tokens.
#[derive(Debug, Args)]
pub(crate) struct EncodingArgs {
    /// A chat template (Jinja) in place of the model's own.
    #[arg(long, value_name = "FILE", requires = "model", conflicts_with = "raw")]
    pub(crate) template: Option<PathBuf>,
    /// No chat template: the prompt and the completion as they are.
    #[arg(long, requires = "model")]
    pub(crate) raw: bool,
    /// Read special tokens that are spelt out in messages as text, not as tokens.
    #[arg(long, requires = "model")]
    pub(crate) special_as_text: bool,
}

/// `data preview`.
#[derive(Debug, Args)]
pub(crate) struct DataPreviewArgs {
    /// Rows: JSON objects with `messages`, `prompt` and `completion`, or `prompt`.
    #[arg(value_name = "FILE.jsonl")]
    pub(crate) file: PathBuf,
    /// Model directory; tokenizer.json and the chat template are enough.
    #[arg(long, value_name = "DIR")]
    pub(crate) model: PathBuf,
    /// Show the first N rows.
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub(crate) rows: usize,
    /// Show the id of each token.
    #[arg(long)]
    pub(crate) ids: bool,
    /// Print one JSON document.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) encoding: EncodingArgs,
}

/// `data check`.
#[derive(Debug, Args)]
pub(crate) struct DataCheckArgs {
    /// Files of rows: JSON objects with `messages`, `prompt` and `completion`, or `prompt`.
    #[arg(value_name = "FILE.jsonl", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// The format that every row must have [default: that of the first row of each file].
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub(crate) format: Option<RowFormat>,
    /// What bad rows mean: failure, or that training would leave them out.
    #[arg(long, value_enum, value_name = "POLICY", default_value_t = OnBadRow::Error)]
    pub(crate) on_bad_row: OnBadRow,
    /// Also encode the rows for this model; tokenizer.json and the chat template are enough.
    #[arg(long, value_name = "DIR")]
    pub(crate) model: Option<PathBuf>,
    /// Count the rows of more than N tokens.
    #[arg(long, value_name = "N", requires = "model")]
    pub(crate) max_length: Option<usize>,
    /// Print one JSON document.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) encoding: EncodingArgs,
}

/// Formats of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum RowFormat {
    /// A conversation: `messages`.
    Messages,
    /// `prompt` and `completion`.
    Completion,
    /// `prompt`, and what a reward needs.
    Prompt,
}

/// What bad rows mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnBadRow {
    /// The files are bad: exit code 1.
    Error,
    /// They are left out and counted.
    Skip,
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
    /// Sudoku: empty cells in each puzzle, 1 to 12 [default: 6].
    #[arg(long, value_name = "N")]
    pub(crate) empties: Option<usize>,
    /// Countdown: numbers in each problem. 3 makes problems for small models, numbers 1-9 and targets
    /// 10-40; other counts make the published kind, both 1-100 [default: 3].
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
    /// Where runs are to be written: its free space is shown, and whether it takes files.
    #[arg(long, default_value = ".", value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Print one JSON document.
    #[arg(long)]
    pub(crate) json: bool,
}
