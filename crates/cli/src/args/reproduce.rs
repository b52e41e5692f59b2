//! `reproduce`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// `reproduce`.
#[derive(Debug, Args)]
pub(crate) struct ReproduceArgs {
    /// The paper.
    #[arg(value_enum)]
    pub(crate) paper: Paper,
    /// How much to compute: `laptop` takes minutes, `smoke` only shows that every step runs.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) preset: RunPreset,
    /// Seed of every random stream; the same seed gives the same numbers (ablations are bounded by time).
    #[arg(long, default_value_t = 42, value_name = "N")]
    pub(crate) seed: u64,
    /// Directory of the run [default: runs/PAPER-PRESET-SEED].
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
