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
    /// Check every file of a model: headers, shapes, tokenizer, values.
    Check(ModelCheckArgs),
    /// Write a model as a new directory, in another type or in several files.
    Export(ModelExportArgs),
    /// Write a model's logits, to compare them with those of another program; in f32 unless
    /// --precision says otherwise.
    Logits(ModelLogitsArgs),
    /// Merge a LoRA adapter into its base model.
    Merge(ModelMergeArgs),
    /// Show the singular values of a model's weights.
    Spectrum(ModelSpectrumArgs),
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

/// `model merge`.
#[derive(Debug, Args)]
pub(crate) struct ModelMergeArgs {
    /// Directory of the base model, or owner/name of one in the Hugging Face cache.
    #[arg(long, value_name = "DIR")]
    pub(crate) model: PathBuf,
    /// PEFT directory of the adapter.
    #[arg(long, value_name = "DIR")]
    pub(crate) adapter: PathBuf,
    /// The directory to create.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Type of the merged weights [default: as the base's are stored, rounded if that is half
    /// precision].
    #[arg(long, value_enum, value_name = "TYPE")]
    pub(crate) dtype: Option<WeightType>,
    /// Print one JSON document.
    #[arg(long)]
    pub(crate) json: bool,
}

/// `model info`.
#[derive(Debug, Args)]
pub(crate) struct ModelInfoArgs {
    /// Model directory, or owner/name of a model in the Hugging Face cache.
    #[arg(value_name = "DIR")]
    pub(crate) model: PathBuf,
    /// Print one JSON document.
    #[arg(long)]
    pub(crate) json: bool,
}

/// `model check`.
#[derive(Debug, Args)]
pub(crate) struct ModelCheckArgs {
    /// Model directory, or owner/name of a model in the Hugging Face cache.
    #[arg(long, value_name = "DIR")]
    pub(crate) model: PathBuf,
    /// Print one JSON document.
    #[arg(long)]
    pub(crate) json: bool,
}

/// `model spectrum`.
#[derive(Debug, Args)]
pub(crate) struct ModelSpectrumArgs {
    /// Model directory, or owner/name of a model in the Hugging Face cache.
    #[arg(long, value_name = "DIR")]
    pub(crate) model: PathBuf,
    /// Only this tensor; can be given several times [default: the weights of all linear
    /// layers but the head].
    #[arg(long = "tensor", value_name = "NAME")]
    pub(crate) tensors: Vec<String>,
    /// Print one JSON document, with every singular value.
    #[arg(long)]
    pub(crate) json: bool,
}

/// `model export`.
#[derive(Debug, Args)]
pub(crate) struct ModelExportArgs {
    /// Model directory, or owner/name of a model in the Hugging Face cache.
    #[arg(long, value_name = "DIR")]
    pub(crate) model: PathBuf,
    /// The directory to create.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Type of the weights [default: as they are stored].
    #[arg(long, value_enum, value_name = "TYPE")]
    pub(crate) dtype: Option<WeightType>,
    /// Most bytes of a weights file, such as 500MB or 5GB.
    #[arg(long, value_name = "SIZE", default_value = "5GB", value_parser = bytes)]
    pub(crate) shard_size: usize,
    /// Print one JSON document.
    #[arg(long)]
    pub(crate) json: bool,
}

/// `model logits`.
#[derive(Debug, Args)]
pub(crate) struct ModelLogitsArgs {
    /// Model directory, or owner/name of a model in the Hugging Face cache.
    #[arg(long, value_name = "DIR")]
    pub(crate) model: PathBuf,
    /// PEFT directory of a LoRA adapter, merged into the weights as they are loaded.
    #[arg(long, value_name = "DIR")]
    pub(crate) adapter: Option<PathBuf>,
    /// A JSON list of lists of token ids; for an encoder-decoder an object with lists `ids` and
    /// `decoder_ids`.
    #[arg(long, value_name = "FILE.json")]
    pub(crate) ids: PathBuf,
    /// The safetensors file to write, with one f32 tensor `logits`, rows x longest row x vocabulary.
    #[arg(long, value_name = "FILE.safetensors")]
    pub(crate) out: PathBuf,
}

/// How weights are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum WeightType {
    /// Single precision.
    F32,
    /// Brain floating point.
    Bf16,
    /// Half precision.
    F16,
}

/// `5GB`, `500MB`, `1GiB`, `4096`.
fn bytes(text: &str) -> Result<usize, String> {
    let digits =
        text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.').len();
    let (number, unit) = text.split_at(digits);
    let unit = match unit.trim().to_ascii_uppercase().as_str() {
        "" | "B" => 1.0,
        "KB" => 1e3,
        "MB" => 1e6,
        "GB" => 1e9,
        "KIB" => f64::from(1 << 10),
        "MIB" => f64::from(1 << 20),
        "GIB" => f64::from(1 << 30),
        _ => return Err("expected a number with KB, MB, GB, KiB, MiB or GiB".to_owned()),
    };
    match number.parse::<f64>().map(|number| number * unit) {
        Ok(bytes) if (1.0..=1e15).contains(&bytes) => Ok(bytes as usize),
        _ => Err("expected a positive number of bytes".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        assert_eq!(bytes("5GB"), Ok(5_000_000_000));
        assert_eq!(bytes("1.5 MiB"), Ok(1_572_864));
        assert_eq!(bytes("4096"), Ok(4096));
        for wrong in ["", "GB", "0", "-1GB", "1e3", "5 apples", "nan"] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
    }
}
