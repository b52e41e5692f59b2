//! An encoder-decoder, which is described without its tokenizer if it has none.

use std::path::Path;

use afterthought_models::hub::{self, Checkpoint};
use afterthought_models::{EncoderDecoderConfig, NamedShape};
use afterthought_text::Tokenizer;
use serde::Serialize;

use super::overview::overview;
use super::weights::Weights;

/// What `--json` prints.
#[derive(Serialize)]
pub(super) struct Info {
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
    /// Opens the model, which checks it.
    pub(super) fn open(directory: &Path) -> anyhow::Result<Self> {
        let (config, checkpoint) = hub::open_encoder_decoder(directory)?;
        let tokenizer = directory.join("tokenizer.json");
        let tokens = match tokenizer.is_file() {
            true => Some(Tokenizer::from_file(tokenizer)?.vocab_size()),
            false => None,
        };
        Ok(Self::new(directory.display().to_string(), &config, &checkpoint, tokens))
    }

    fn new(
        model: String,
        config: &EncoderDecoderConfig,
        checkpoint: &Checkpoint,
        tokens: Option<usize>,
    ) -> Self {
        let mut parameters = Parts::default();
        config.tensors().iter().for_each(|tensor| parameters.add(tensor));
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
            weights: Weights::new(checkpoint),
            tokens,
        }
    }

    pub(super) fn overview(&self) -> String {
        let config = &self.config;
        let shape = format!(
            "{} encoder and {} decoder layers, width {}, {} heads of {}, feed-forward {}",
            config.num_layers,
            config.num_decoder_layers,
            config.d_model,
            config.num_heads,
            config.d_kv,
            config.d_ff
        );
        let gated = if config.is_gated_act { "gated " } else { "" };
        let head = if config.tie_word_embeddings { "tied" } else { "of its own" };
        let scaled = if config.scale_decoder_outputs { ", scaled" } else { "" };
        let tokens = self.tokens.map_or("no tokenizer.json".to_owned(), |n| n.to_string());
        let facts = [
            ("kind", self.kind.to_owned()),
            ("shape", shape),
            ("options", format!("{gated}{}, head {head}{scaled}", config.activation)),
            ("family", config.model_type.to_owned()),
            ("weights", self.weights.line()),
            ("tokens", format!("{tokens}, {} rows", config.vocab_size)),
        ];
        let parameters = [
            ("embedding", self.parameters.embedding),
            ("encoder", self.parameters.encoder),
            ("decoder", self.parameters.decoder),
            ("head", self.parameters.head),
            ("total", self.parameters.total),
        ];
        overview(&self.model, &facts, &parameters)
    }
}
