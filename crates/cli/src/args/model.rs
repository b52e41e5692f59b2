//! `model`.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand, ValueEnum};

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
