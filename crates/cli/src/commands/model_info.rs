//! `afterthought model info`: what a model directory holds.

use std::collections::BTreeSet;

use afterthought_models::hub;
use afterthought_models::{DecoderConfig, NamedShape, RopeScaling};
use serde::Serialize;

use crate::args::ModelInfoArgs;
use crate::commands::generation_config::GenerationConfig;
use crate::commands::loaded::Loaded;
use crate::commands::missing::require_directory;
use crate::commands::seq2seq_info;
use crate::console::{Console, print_json, print_text, printable, table};

/// Opens the model, which checks it, and describes it.
pub(crate) fn run(args: &ModelInfoArgs, _console: &Console) -> anyhow::Result<()> {
    require_directory(&args.model)?;
    if hub::is_encoder_decoder(&args.model)? {
        return seq2seq_info::run(args);
    }
    let loaded = Loaded::open(&args.model)?;
    let info = Info::new(&loaded)?;
    match args.json {
        true => print_json(&info),
        false => Ok(print_text(&info.overview())?),
    }
}

/// What `--json` prints.
#[derive(Serialize)]
struct Info {
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

/// The files.
#[derive(Serialize)]
struct Weights {
    files: usize,
    bytes: usize,
    /// `F32`, `BF16`, `F16`.
    types: Vec<&'static str>,
}

impl Weights {
    fn new(loaded: &Loaded) -> Self {
        let files = loaded.checkpoint.files();
        let types = files.iter().flat_map(|file| file.tensors()).map(|tensor| tensor.dtype.name());
        let types: BTreeSet<&str> = types.collect();
        Self {
            files: files.len(),
            bytes: loaded.checkpoint.bytes(),
            types: types.into_iter().collect(),
        }
    }
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
    fn new(loaded: &Loaded) -> anyhow::Result<Self> {
        let config = &loaded.config;
        let mut parts = Parts::default();
        config.tensors().iter().for_each(|tensor| parts.add(tensor));
        let special_tokens = (loaded.special_ids().into_iter())
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
            weights: Weights::new(loaded),
            tokenizer: TokenizerInfo {
                tokens: loaded.tokenizer.vocab_size(),
                unused_rows: loaded.unused_ids().len(),
                closed_vocabulary: loaded.closed_vocabulary(),
            },
            special_tokens,
            generation: GenerationConfig::read(&loaded.directory)?,
        })
    }

    fn overview(&self) -> String {
        let mut facts = table(&["model", &self.model]);
        let mut fact = |name: &str, value: String| {
            facts.add_row([name.to_owned(), value]);
        };
        fact("kind", self.kind.to_owned());
        fact("shape", self.config.shape());
        fact("options", self.config.options());
        fact("family", self.config.model_type.to_owned());
        fact("positions", self.config.max_positions.to_string());
        let Weights { files, bytes, types } = &self.weights;
        let (types, megabytes) = (types.join(" and "), *bytes as f64 / 1e6);
        fact("weights", format!("{types}, {files} file(s), {megabytes:.1} MB"));
        let tokens = match self.tokenizer.unused_rows {
            0 => self.tokenizer.tokens.to_string(),
            unused => format!("{} ({unused} rows unused)", self.tokenizer.tokens),
        };
        fact("tokens", tokens);
        let special = |special: &Special| {
            format!("{} {} = {}", special.role, printable(&special.token), special.id)
        };
        let special: Vec<String> = self.special_tokens.iter().map(special).collect();
        fact("special tokens", special.join(", "));
        let mut parts = table(&["part", "parameters", "share"]);
        let total = self.parameters.total.max(1) as f64;
        for (name, count) in [
            ("embedding", self.parameters.embedding),
            ("attention", self.parameters.attention),
            ("feed-forward", self.parameters.feed_forward),
            ("norms", self.parameters.norms),
            ("head", self.parameters.head),
            ("total", self.parameters.total),
        ] {
            let share = format!("{:.1} %", 100.0 * count as f64 / total);
            parts.add_row([name.to_owned(), count.to_string(), share]);
        }
        format!("{}\n\n{}", facts.trim_fmt(), parts.trim_fmt())
    }
}
