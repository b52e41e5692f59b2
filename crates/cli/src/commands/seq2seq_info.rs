//! `afterthought model info` for encoder-decoders.

use std::collections::BTreeSet;

use afterthought_models::hub::{self, Checkpoint};
use afterthought_models::{EncoderDecoderConfig, NamedShape};
use afterthought_text::Tokenizer;
use serde::Serialize;

use crate::args::ModelInfoArgs;
use crate::console::{print_json, print_text, table};

/// Opens the model, which checks it, and describes it.
pub(crate) fn run(args: &ModelInfoArgs) -> anyhow::Result<()> {
    let directory = hub::model_directory(&args.model)?;
    let (config, checkpoint) = hub::open_encoder_decoder(&directory)?;
    let tokenizer = directory.join("tokenizer.json");
    let tokens = match tokenizer.is_file() {
        true => Some(Tokenizer::from_file(tokenizer)?.vocab_size()),
        false => None,
    };
    let info = Info::new(directory.display().to_string(), &config, &checkpoint, tokens);
    match args.json {
        true => print_json(&info),
        false => Ok(print_text(&info.overview())?),
    }
}

/// What `--json` prints.
#[derive(Serialize)]
struct Info {
    model: String,
    /// `encoder-decoder`.
    kind: &'static str,
    config: Config,
    parameters: Parts,
    weights: Weights,
    /// Of the tokenizer; null without `tokenizer.json`.
    tokens: Option<usize>,
}

#[derive(Serialize)]
struct Config {
    model_type: &'static str,
    vocab_size: usize,
    d_model: usize,
    d_kv: usize,
    d_ff: usize,
    num_layers: usize,
    num_decoder_layers: usize,
    num_heads: usize,
    relative_attention_num_buckets: usize,
    relative_attention_max_distance: usize,
    activation: String,
    is_gated_act: bool,
    tie_word_embeddings: bool,
    scale_decoder_outputs: bool,
    decoder_start_token_id: u32,
    pad_token_id: Option<u32>,
    eos_token_ids: Vec<u32>,
}

/// Weights by what they are for.
#[derive(Default, Serialize)]
struct Parts {
    embedding: usize,
    encoder: usize,
    decoder: usize,
    /// 0 where the embedding is the head.
    head: usize,
    total: usize,
}

/// The files.
#[derive(Serialize)]
struct Weights {
    files: usize,
    bytes: usize,
    /// `F32`, `BF16`, `F16`.
    types: BTreeSet<&'static str>,
}

impl Parts {
    fn add(&mut self, (name, shape): &NamedShape) {
        let count: usize = shape.iter().product();
        let part = match name.split('.').next() {
            Some("encoder") => &mut self.encoder,
            Some("decoder") => &mut self.decoder,
            Some("lm_head") => &mut self.head,
            _ => &mut self.embedding,
        };
        *part += count;
        self.total += count;
    }
}

impl Info {
    fn new(
        model: String,
        config: &EncoderDecoderConfig,
        checkpoint: &Checkpoint,
        tokens: Option<usize>,
    ) -> Self {
        let mut parameters = Parts::default();
        config.tensors().iter().for_each(|tensor| parameters.add(tensor));
        let files = checkpoint.files();
        let stored = files.iter().flat_map(|file| file.tensors());
        Self {
            model,
            kind: "encoder-decoder",
            config: Config {
                model_type: "t5",
                vocab_size: config.vocab_size,
                d_model: config.d_model,
                d_kv: config.d_kv,
                d_ff: config.d_ff,
                num_layers: config.num_layers,
                num_decoder_layers: config.num_decoder_layers,
                num_heads: config.num_heads,
                relative_attention_num_buckets: config.relative_attention_num_buckets,
                relative_attention_max_distance: config.relative_attention_max_distance,
                activation: format!("{:?}", config.activation),
                is_gated_act: config.is_gated_act,
                tie_word_embeddings: config.tie_word_embeddings,
                scale_decoder_outputs: config.scale_decoder_outputs,
                decoder_start_token_id: config.decoder_start_token_id,
                pad_token_id: config.pad_token_id,
                eos_token_ids: config.eos_token_ids.clone(),
            },
            parameters,
            weights: Weights {
                files: files.len(),
                bytes: checkpoint.bytes(),
                types: stored.map(|tensor| tensor.dtype.name()).collect(),
            },
            tokens,
        }
    }

    fn overview(&self) -> String {
        let mut facts = table(&["model", &self.model]);
        let mut fact = |name: &str, value: String| {
            facts.add_row([name.to_owned(), value]);
        };
        let config = &self.config;
        fact("kind", self.kind.to_owned());
        fact(
            "shape",
            format!(
                "{} encoder and {} decoder layers, width {}, {} heads of {}, feed-forward {}",
                config.num_layers,
                config.num_decoder_layers,
                config.d_model,
                config.num_heads,
                config.d_kv,
                config.d_ff
            ),
        );
        let gated = if config.is_gated_act { "gated " } else { "" };
        let head = if config.tie_word_embeddings { "tied" } else { "of its own" };
        let scaled = if config.scale_decoder_outputs { ", scaled" } else { "" };
        fact("options", format!("{gated}{}, head {head}{scaled}", config.activation));
        fact("family", config.model_type.to_owned());
        let Weights { files, bytes, types } = &self.weights;
        let types: Vec<&str> = types.iter().copied().collect();
        let (types, megabytes) = (types.join(" and "), *bytes as f64 / 1e6);
        fact("weights", format!("{types}, {files} file(s), {megabytes:.1} MB"));
        let tokens = self.tokens.map_or("no tokenizer.json".to_owned(), |n| n.to_string());
        fact("tokens", format!("{tokens}, {} rows", config.vocab_size));
        let mut parts = table(&["part", "parameters", "share"]);
        let total = self.parameters.total.max(1) as f64;
        for (name, count) in [
            ("embedding", self.parameters.embedding),
            ("encoder", self.parameters.encoder),
            ("decoder", self.parameters.decoder),
            ("head", self.parameters.head),
            ("total", self.parameters.total),
        ] {
            let share = format!("{:.1} %", 100.0 * count as f64 / total);
            parts.add_row([name.to_owned(), count.to_string(), share]);
        }
        format!("{}\n\n{}", facts.trim_fmt(), parts.trim_fmt())
    }
}
