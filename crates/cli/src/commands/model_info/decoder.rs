//! A decoder, causal or bidirectional.

use afterthought_models::{DecoderConfig, NamedShape, RopeScaling};
use serde::Serialize;

use super::overview::overview;
use super::weights::Weights;
use crate::commands::generation_config::GenerationConfig;
use crate::commands::loaded::Loaded;
use crate::console::printable;

/// What `--json` prints.
#[derive(Serialize)]
pub(super) struct Info {
    model: String,
    /// `masked diffusion` or `autoregressive`.
    kind: &'static str,
    config: Config,
    parameters: Parts,
    weights: Weights,
    tokenizer: TokenizerInfo,
    special_tokens: Vec<Special>,
    generation: GenerationConfig,
}

#[derive(Serialize)]
struct Config {
    model_type: &'static str,
    vocab_size: usize,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: usize,
    head_dim: usize,
    max_position_embeddings: usize,
    /// With the rotary frequencies stretched as the configuration says.
    max_positions: usize,
    rope_theta: f64,
    rope_type: &'static str,
    /// Positions that a token of a layer with a window sees.
    sliding_window: Option<usize>,
    tie_word_embeddings: bool,
    attention_bias: bool,
    qk_norm: bool,
    causal: bool,
    shifted_logits: bool,
}

/// Weights by what they are for.
#[derive(Default, Serialize)]
struct Parts {
    embedding: usize,
    attention: usize,
    feed_forward: usize,
    norms: usize,
    /// 0 where the embedding is the head.
    head: usize,
    total: usize,
}

#[derive(Serialize)]
struct TokenizerInfo {
    tokens: usize,
    /// Rows of the embedding that no token belongs to.
    unused_rows: usize,
    closed_vocabulary: bool,
}

#[derive(Serialize)]
struct Special {
    role: &'static str,
    id: u32,
    token: String,
}

impl Parts {
    fn add(&mut self, (name, shape): &NamedShape) {
        let count: usize = shape.iter().product();
        let part = if name.contains("embed_tokens") {
            &mut self.embedding
        } else if name.starts_with("lm_head") {
            &mut self.head
        } else if name.contains("norm") {
            &mut self.norms
        } else if name.contains("self_attn") {
            &mut self.attention
        } else {
            &mut self.feed_forward
        };
        *part += count;
        self.total += count;
    }
}

impl Config {
    fn new(config: &DecoderConfig) -> Self {
        Self {
            model_type: config.family.model_type(),
            vocab_size: config.vocab_size,
            hidden_size: config.hidden_size,
            intermediate_size: config.intermediate_size,
            num_hidden_layers: config.num_hidden_layers,
            num_attention_heads: config.num_attention_heads,
            num_key_value_heads: config.num_key_value_heads,
            head_dim: config.head_dim,
            max_position_embeddings: config.max_position_embeddings,
            max_positions: config.max_positions(),
            rope_theta: config.rope_theta,
            rope_type: match config.rope_scaling {
                RopeScaling::None => "default",
                RopeScaling::Linear { .. } => "linear",
                RopeScaling::Dynamic { .. } => "dynamic",
                RopeScaling::Llama3(_) => "llama3",
                RopeScaling::Yarn(_) => "yarn",
            },
            sliding_window: config.sliding_window.as_ref().map(|window| window.width),
            tie_word_embeddings: config.tie_word_embeddings,
            attention_bias: config.attention_bias,
            qk_norm: config.qk_norm,
            causal: config.causal,
            shifted_logits: config.shifted_logits,
        }
    }

    /// `3 layers, width 96, 4 heads of 24, feed-forward 256`.
    fn shape(&self) -> String {
        let mut shape = format!(
            "{} layers, width {}, {} heads of {}",
            self.num_hidden_layers, self.hidden_size, self.num_attention_heads, self.head_dim
        );
        if self.num_key_value_heads != self.num_attention_heads {
            shape += &format!(" ({} for keys and values)", self.num_key_value_heads);
        }
        shape + &format!(", feed-forward {}", self.intermediate_size)
    }

    fn options(&self) -> String {
        let options = [
            (self.qk_norm, "query/key norms"),
            (self.attention_bias, "query/key/value biases"),
            (self.tie_word_embeddings, "tied head"),
            (self.sliding_window.is_some(), "sliding window"),
            (self.rope_type != "default", "stretched positions"),
            (self.shifted_logits, "shifted logits"),
        ];
        let chosen: Vec<&str> = options.iter().filter(|o| o.0).map(|o| o.1).collect();
        match chosen.is_empty() {
            true => "none".to_owned(),
            false => chosen.join(", "),
        }
    }
}

impl Info {
    pub(super) fn new(loaded: &Loaded) -> anyhow::Result<Self> {
        let config = loaded.decoder_config()?;
        let mut parts = Parts::default();
        config.tensors().iter().for_each(|tensor| parts.add(tensor));
        let special_tokens = (loaded.network.special_ids().into_iter())
            .filter_map(|(role, id)| Some((role, id?)))
            .map(|(role, id)| {
                let token = loaded.tokenizer.id_to_token(id)?;
                Ok(Special { role, id, token })
            })
            .collect::<anyhow::Result<_>>()?;
        Ok(Self {
            model: loaded.directory.display().to_string(),
            kind: match (config.causal, config.mask_token_id) {
                (false, Some(_)) => "masked diffusion",
                (false, None) => "bidirectional, without a mask token",
                (true, _) => "autoregressive",
            },
            config: Config::new(config),
            parameters: parts,
            weights: Weights::new(&loaded.checkpoint),
            tokenizer: TokenizerInfo {
                tokens: loaded.tokenizer.vocab_size(),
                unused_rows: loaded.unused_ids().len(),
                closed_vocabulary: loaded.closed_vocabulary(),
            },
            special_tokens,
            generation: GenerationConfig::read(&loaded.directory)?,
        })
    }

    pub(super) fn overview(&self) -> String {
        let tokens = match self.tokenizer.unused_rows {
            0 => self.tokenizer.tokens.to_string(),
            unused => format!("{} ({unused} rows unused)", self.tokenizer.tokens),
        };
        let special = |special: &Special| {
            format!("{} {} = {}", special.role, printable(&special.token), special.id)
        };
        let special: Vec<String> = self.special_tokens.iter().map(special).collect();
        let facts = [
            ("kind", self.kind.to_owned()),
            ("shape", self.config.shape()),
            ("options", self.config.options()),
            ("family", self.config.model_type.to_owned()),
            ("positions", self.config.max_positions.to_string()),
            ("weights", self.weights.line()),
            ("tokens", tokens),
            ("special tokens", special.join(", ")),
        ];
        let parameters = [
            ("embedding", self.parameters.embedding),
            ("attention", self.parameters.attention),
            ("feed-forward", self.parameters.feed_forward),
            ("norms", self.parameters.norms),
            ("head", self.parameters.head),
            ("total", self.parameters.total),
        ];
        overview(&self.model, &facts, &parameters)
    }
}
