//! `data` and `doctor`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::Split;

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
    /// Print one JSON document.
    #[arg(long)]
    pub(crate) json: bool,
}
