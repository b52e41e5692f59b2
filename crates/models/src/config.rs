use crate::family::{Family, TensorNames};
use crate::{Error, RopeScaling};

/// Everything that distinguishes one decoder from another. The default is that of the Llama class
/// in `transformers`.
#[derive(Clone, Debug, PartialEq)]
pub struct DecoderConfig {
    /// Whose `config.json` keys the model's files use.
    pub family: Family,
    /// How its tensors are called in files.
    pub tensor_names: TensorNames,
    /// Rows of the embedding table.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width of the gated feed-forward layer.
    pub intermediate_size: usize,
    /// Transformer blocks.
    pub num_hidden_layers: usize,
    /// Query heads.
    pub num_attention_heads: usize,
    /// Key and value heads (grouped-query attention); divides the query heads.
    pub num_key_value_heads: usize,
    /// Width of one head.
    pub head_dim: usize,
    /// Added to the mean square in RMSNorm.
    pub rms_norm_eps: f32,
    /// Base of the rotary frequencies.
    pub rope_theta: f64,
    /// How the rotary frequencies are stretched beyond the positions of pre-training.
    pub rope_scaling: RopeScaling,
    /// Positions of the model before any stretching; see [`max_positions`](Self::max_positions).
    pub max_position_embeddings: usize,
    /// Attention to the most recent positions only, in some layers.
    pub sliding_window: Option<SlidingWindow>,
    /// Whether the output head is the embedding table.
    pub tie_word_embeddings: bool,
    /// Whether query, key and value projections have a bias (Qwen2, Dream).
    pub attention_bias: bool,
    /// Whether the projection out of the attention has a bias.
    pub output_bias: bool,
    /// Whether the three projections of the feed-forward layer have one.
    pub mlp_bias: bool,
    /// Whether queries and keys are normalised per head (Qwen3).
    pub qk_norm: bool,
    /// Whether a position sees only earlier ones; masked-diffusion models see all.
    pub causal: bool,
    /// Whether the prediction for a position comes out one position earlier, in a bidirectional
    /// model that was a causal one (Dream). Position 0 predicts itself.
    pub shifted_logits: bool,
    /// Standard deviation of freshly drawn weights.
    pub initializer_range: f64,
    /// The token that stands for "not yet written", for masked-diffusion models.
    pub mask_token_id: Option<u32>,
    /// Begin-of-sequence token.
    pub bos_token_id: Option<u32>,
    /// End-of-sequence token.
    pub eos_token_id: Option<u32>,
    /// Further tokens that end a sequence.
    pub other_eos_token_ids: Vec<u32>,
    /// Padding token.
    pub pad_token_id: Option<u32>,
}

/// Sliding-window attention (arXiv:2310.06825).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlidingWindow {
    /// Positions that a token sees, its own included.
    pub width: usize,
    /// For each layer, whether it has the window.
    pub layers: Vec<bool>,
}

impl Default for DecoderConfig {
    fn default() -> Self {
        Self {
            family: Family::Llama,
            tensor_names: TensorNames::default(),
            vocab_size: 32_000,
            hidden_size: 4096,
            intermediate_size: 11_008,
            num_hidden_layers: 32,
            num_attention_heads: 32,
            num_key_value_heads: 32,
            head_dim: 128,
            rms_norm_eps: 1e-6,
            rope_theta: 10_000.0,
            rope_scaling: RopeScaling::None,
            max_position_embeddings: 2048,
            sliding_window: None,
            tie_word_embeddings: false,
            attention_bias: false,
            output_bias: false,
            mlp_bias: false,
            qk_norm: false,
            causal: true,
            shifted_logits: false,
            initializer_range: 0.02,
            mask_token_id: None,
            bos_token_id: Some(1),
            eos_token_id: Some(2),
            other_eos_token_ids: Vec::new(),
            pad_token_id: None,
        }
    }
}

impl DecoderConfig {
    /// Most positions of a sequence: those of pre-training, or more if the rotary frequencies are
    /// stretched.
    pub fn max_positions(&self) -> usize {
        self.rope_scaling.positions(self.max_position_embeddings)
    }

    /// Every token that ends a sequence.
    pub fn eos_token_ids(&self) -> Vec<u32> {
        self.eos_token_id.into_iter().chain(self.other_eos_token_ids.iter().copied()).collect()
    }

    /// Width of the window of a layer, if it has one.
    pub fn window(&self, layer: usize) -> Option<usize> {
        let window = self.sliding_window.as_ref()?;
        window.layers.get(layer).copied().unwrap_or(false).then_some(window.width)
    }

    /// Checks that the settings are consistent.
    ///
    /// # Errors
    /// [`Error::Config`] naming the first setting that is not.
    pub fn validate(&self) -> Result<(), Error> {
        let fail = |key, problem: String| Err(Error::Config { key, problem });
        for (key, value, most) in [
            ("vocab_size", self.vocab_size, 1 << 24),
            ("hidden_size", self.hidden_size, 1 << 24),
            ("intermediate_size", self.intermediate_size, 1 << 24),
            ("num_hidden_layers", self.num_hidden_layers, 1 << 12),
            ("num_attention_heads", self.num_attention_heads, 1 << 24),
            ("num_key_value_heads", self.num_key_value_heads, 1 << 24),
            ("head_dim", self.head_dim, 1 << 24),
            ("max_position_embeddings", self.max_position_embeddings, 1 << 24),
        ] {
            if value == 0 || value > most {
                return fail(key, format!("is {value}; expected 1 to {most}"));
            }
        }
        if !self.num_attention_heads.is_multiple_of(self.num_key_value_heads) {
            let heads = self.num_attention_heads;
            let problem = format!("is {}, which does not divide {heads}", self.num_key_value_heads);
            return fail("num_key_value_heads", problem);
        }
        // Keeps every product of sizes within 64 bits.
        if self.num_attention_heads.saturating_mul(self.head_dim) > 1 << 24 {
            let (heads, most) = (self.num_attention_heads, 1 << 24);
            let problem = format!("is {}; {heads} heads exceed {most} in all", self.head_dim);
            return fail("head_dim", problem);
        }
        if !self.head_dim.is_multiple_of(2) {
            return fail(
                "head_dim",
                format!("is {}; rotary embedding needs an even width", self.head_dim),
            );
        }
        if !(self.rms_norm_eps.is_finite() && self.rms_norm_eps > 0.0) {
            return fail("rms_norm_eps", format!("is {}; expected > 0", self.rms_norm_eps));
        }
        if !(self.rope_theta.is_finite() && self.rope_theta > 0.0) {
            return fail("rope_theta", format!("is {}; expected > 0", self.rope_theta));
        }
        self.rope_scaling.validate(self)?;
        if !(self.initializer_range.is_finite() && self.initializer_range > 0.0) {
            return fail(
                "initializer_range",
                format!("is {}; expected > 0", self.initializer_range),
            );
        }
        self.validate_attention()?;
        self.validate_ids()
    }

    fn validate_attention(&self) -> Result<(), Error> {
        let fail = |key, problem: String| Err(Error::Config { key, problem });
        if self.causal && self.shifted_logits {
            return fail("shifted_logits", "is true for a causal model".into());
        }
        let Some(window) = &self.sliding_window else { return Ok(()) };
        if window.width == 0 {
            return fail("sliding_window", "is 0; expected a positive width".into());
        }
        if !self.causal {
            let problem = format!("is {}, which needs causal attention", window.width);
            return fail("sliding_window", problem);
        }
        if window.layers.len() != self.num_hidden_layers {
            let (found, layers) = (window.layers.len(), self.num_hidden_layers);
            return fail("layer_types", format!("has {found} entries for {layers} layers"));
        }
        Ok(())
    }

    fn validate_ids(&self) -> Result<(), Error> {
        let ids = [
            ("mask_token_id", self.mask_token_id),
            ("bos_token_id", self.bos_token_id),
            ("eos_token_id", self.eos_token_id),
            ("pad_token_id", self.pad_token_id),
        ];
        let others = self.other_eos_token_ids.iter().map(|id| ("eos_token_id", Some(*id)));
        for (key, id) in ids.into_iter().chain(others) {
            if let Some(id) = id.filter(|id| *id as usize >= self.vocab_size) {
                let problem = format!("is {id}; the vocabulary has {} tokens", self.vocab_size);
                return Err(Error::Config { key, problem });
            }
        }
        Ok(())
    }
}
