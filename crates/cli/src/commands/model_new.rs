//! `afterthought model new`: a model with random weights.

use std::fs;
use std::path::Path;

use afterthought_models::family::Family;
use afterthought_models::{Decoder, DecoderConfig, Error as ModelError, hub};
use afterthought_text::{SpecialTokens, Tokenizer, char_level, word_level};
use anyhow::Context;
use burn::tensor::Device;

use crate::args::{ModelNewArgs, ModelPreset};
use crate::commands::missing::require_file;
use crate::console::{Console, print_text};
use crate::exit::UsageError;

/// What the common tokenizers call their special tokens, the most usual name first.
const BOS: [&str; 4] = ["<bos>", "<s>", "<|begin_of_text|>", "<|startoftext|>"];
const EOS: [&str; 5] = ["<eos>", "</s>", "<|end_of_text|>", "<|endoftext|>", "<|im_end|>"];
const MASK: [&str; 4] = ["<mask>", "[MASK]", "<|mdm_mask|>", "<|mask|>"];
const PAD: [&str; 3] = ["<pad>", "[PAD]", "<|pad|>"];

/// Longest sequence of a new model.
const POSITIONS: usize = 2048;

/// Makes the tokenizer, draws the weights and writes the directory.
pub(crate) fn run(args: &ModelNewArgs, console: &Console) -> anyhow::Result<()> {
    if args.out.exists() {
        let message = format!("{} exists already", args.out.display());
        return Err(UsageError::new(message)
            .hint("choose another --out, or remove it first")
            .into());
    }
    let tokenizer = tokenizer(args)?;
    let config = config(args, &tokenizer)?;
    if args.tokenizer.is_some() {
        console.note(&chosen(&config, &tokenizer));
    }
    let decoder = Decoder::random(config, args.seed, &Device::flex()).map_err(usage)?;
    hub::save(&decoder, tokenizer.as_bytes(), &args.out).map_err(usage)?;
    let (parameters, _) = decoder.parameter_counts();
    Ok(print_text(&format!(
        "{}: {parameters} parameters, {} tokens",
        args.out.display(),
        tokenizer.vocab_size()
    ))?)
}

fn tokenizer(args: &ModelNewArgs) -> anyhow::Result<Tokenizer> {
    let special = SpecialTokens::default();
    if let Some(path) = &args.tokenizer {
        require_file(path)?;
        return Ok(Tokenizer::from_file(path)?);
    }
    let made = match (&args.alphabet, &args.words) {
        (Some(alphabet), _) => char_level(alphabet, &special),
        (None, Some(path)) => word_level(&words(path)?, &special),
        (None, None) => word_level(&[], &special),
    };
    Ok(made.map_err(|error| UsageError::caused_by("these tokens make no tokenizer", error))?)
}

fn words(path: &Path) -> anyhow::Result<Vec<String>> {
    require_file(path)?;
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let words: Vec<String> = text.lines().map(str::to_owned).collect();
    if let Some(empty) = words.iter().position(|word| word.trim().is_empty()) {
        let message = format!("{}:{}: an empty line", path.display(), empty + 1);
        return Err(UsageError::new(message).hint("put one word on each line").into());
    }
    Ok(words)
}

fn config(args: &ModelNewArgs, tokenizer: &Tokenizer) -> Result<DecoderConfig, UsageError> {
    let (hidden, layers, heads, intermediate) = match args.preset {
        ModelPreset::Tiny => (96, 3, 4, 256),
        ModelPreset::Small => (128, 4, 4, 352),
        ModelPreset::Medium => (256, 6, 8, 704),
    };
    let (hidden, heads) = (args.hidden.unwrap_or(hidden), args.heads.unwrap_or(heads));
    if heads == 0 || !hidden.is_multiple_of(2 * heads) {
        let message = format!("{heads} heads do not divide a width of {hidden} into even parts");
        return Err(UsageError::new(message).hint("choose --hidden as a multiple of 2 x --heads"));
    }
    let mask_token_id = match args.causal {
        true => None,
        false => Some(required(tokenizer, "mask", &MASK)?),
    };
    Ok(DecoderConfig {
        family: Family::with(args.qk_norm, args.qkv_bias),
        vocab_size: tokenizer.vocab_size(),
        hidden_size: hidden,
        intermediate_size: args.intermediate.unwrap_or(intermediate),
        num_hidden_layers: args.layers.unwrap_or(layers),
        num_attention_heads: heads,
        num_key_value_heads: args.kv_heads.unwrap_or(heads),
        head_dim: hidden / heads,
        rms_norm_eps: 1e-5,
        rope_theta: 10_000.0,
        max_position_embeddings: POSITIONS,
        tie_word_embeddings: args.tie_head,
        attention_bias: args.qkv_bias,
        qk_norm: args.qk_norm,
        causal: args.causal,
        // About 1 / sqrt(width) for the widths of the presets, where 0.02 learns slowly.
        initializer_range: 0.05,
        mask_token_id,
        bos_token_id: find(tokenizer, &BOS),
        eos_token_id: Some(required(tokenizer, "end-of-sequence", &EOS)?),
        pad_token_id: find(tokenizer, &PAD),
        ..DecoderConfig::default()
    })
}

fn find(tokenizer: &Tokenizer, names: &[&str]) -> Option<u32> {
    names.iter().find_map(|name| tokenizer.token_to_id(name).ok())
}

fn required(tokenizer: &Tokenizer, role: &str, names: &[&str]) -> Result<u32, UsageError> {
    find(tokenizer, names).ok_or_else(|| {
        let message = format!("the tokenizer has no {role} token: none of {}", names.join(", "));
        let error = UsageError::new(message);
        match role {
            "mask" => error.hint("add one to tokenizer.json, or make a --causal model"),
            _ => error.hint("add one to tokenizer.json"),
        }
    })
}

/// Which tokens of somebody's tokenizer were taken for the special ones.
fn chosen(config: &DecoderConfig, tokenizer: &Tokenizer) -> String {
    let name = |id: Option<u32>| {
        id.and_then(|id| tokenizer.id_to_token(id).ok()).unwrap_or_else(|| "none".to_owned())
    };
    format!(
        "special tokens: bos {}, eos {}, mask {}, pad {}",
        name(config.bos_token_id),
        name(config.eos_token_id),
        name(config.mask_token_id),
        name(config.pad_token_id)
    )
}

/// Numbers that do not fit together are the user's; a directory that cannot be written is not.
fn usage(error: ModelError) -> anyhow::Error {
    match error {
        ModelError::Config { .. } => {
            UsageError::new(error.to_string()).hint("see --help for the architecture flags").into()
        }
        other => other.into(),
    }
}
