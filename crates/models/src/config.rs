use crate::Error;

/// Everything that distinguishes one decoder from another.
#[derive(Clone, Debug, PartialEq)]
pub struct DecoderConfig {
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
    /// Longest sequence.
    pub max_position_embeddings: usize,
    /// Whether the output head is the embedding table.
    pub tie_word_embeddings: bool,
    /// Whether query, key and value projections have a bias (Qwen2, Dream).
    pub attention_bias: bool,
    /// Whether queries and keys are normalised per head (Qwen3).
    pub qk_norm: bool,
    /// Whether a position sees only earlier ones; masked-diffusion models see all.
    pub causal: bool,
    /// Standard deviation of freshly drawn weights.
    pub initializer_range: f64,
    /// The token that stands for "not yet written", for masked-diffusion models.
    pub mask_token_id: Option<u32>,
    /// Begin-of-sequence token.
    pub bos_token_id: Option<u32>,
    /// End-of-sequence token.
    pub eos_token_id: Option<u32>,
    /// Padding token.
    pub pad_token_id: Option<u32>,
}

impl DecoderConfig {
    /// Checks that the settings are consistent.
    ///
    /// # Errors
    /// [`Error::Config`] naming the first setting that is not.
    pub fn validate(&self) -> Result<(), Error> {
        let fail = |key, problem: String| Err(Error::Config { key, problem });
        for (key, value) in [
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("num_attention_heads", self.num_attention_heads),
            ("num_key_value_heads", self.num_key_value_heads),
            ("head_dim", self.head_dim),
            ("max_position_embeddings", self.max_position_embeddings),
        ] {
            if value == 0 || value > 1 << 24 {
                return fail(key, format!("is {value}; expected 1 to {}", 1 << 24));
            }
        }
        if !self.num_attention_heads.is_multiple_of(self.num_key_value_heads) {
            let heads = self.num_attention_heads;
            let problem = format!("is {}, which does not divide {heads}", self.num_key_value_heads);
            return fail("num_key_value_heads", problem);
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
        if !(self.initializer_range.is_finite() && self.initializer_range > 0.0) {
            return fail(
                "initializer_range",
                format!("is {}; expected > 0", self.initializer_range),
            );
        }
        for (key, id) in [
            ("mask_token_id", self.mask_token_id),
            ("bos_token_id", self.bos_token_id),
            ("eos_token_id", self.eos_token_id),
            ("pad_token_id", self.pad_token_id),
        ] {
            if let Some(id) = id.filter(|id| *id as usize >= self.vocab_size) {
                return fail(
                    key,
                    format!("is {id}; the vocabulary has {} tokens", self.vocab_size),
                );
            }
        }
        Ok(())
    }
}
