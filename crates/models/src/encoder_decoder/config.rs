use crate::Error;
use afterthought_kernels::Activation;

/// Everything that distinguishes one T5 from another, by the names of its `config.json`.
#[derive(Clone, Debug, PartialEq)]
pub struct EncoderDecoderConfig {
    /// Rows of the embedding table.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub d_model: usize,
    /// Width of one head; the heads together may be narrower or wider than `d_model`.
    pub d_kv: usize,
    /// Width of the feed-forward layer.
    pub d_ff: usize,
    /// Encoder blocks.
    pub num_layers: usize,
    /// Decoder blocks.
    pub num_decoder_layers: usize,
    /// Attention heads.
    pub num_heads: usize,
    /// Rows of the tables of relative position biases.
    pub relative_attention_num_buckets: usize,
    /// Distance from which on all share the last bucket.
    pub relative_attention_max_distance: usize,
    /// Function of the feed-forward layer.
    pub activation: Activation,
    /// Whether a second projection multiplies it (v1.1).
    pub is_gated_act: bool,
    /// Added to the mean square in RMSNorm.
    pub layer_norm_epsilon: f32,
    /// Whether the output head is the embedding table.
    pub tie_word_embeddings: bool,
    /// Whether the last hidden state is multiplied by `1 / sqrt(d_model)` before the head: so where
    /// the head is tied in the published models.
    pub scale_decoder_outputs: bool,
    /// Factor on the standard deviations of freshly drawn weights.
    pub initializer_factor: f64,
    /// Share of values dropped in training by those who trained it. Kept for the file; nothing here
    /// drops values.
    pub dropout_rate: f64,
    /// First input of the decoder.
    pub decoder_start_token_id: u32,
    /// Padding token.
    pub pad_token_id: Option<u32>,
    /// End-of-sequence tokens.
    pub eos_token_ids: Vec<u32>,
}

impl EncoderDecoderConfig {
    /// Longest source or target. The architecture has no limit; the biases of a batch take memory
    /// for each pair of positions.
    pub const MAX_POSITIONS: usize = 4096;

    /// Checks that the settings are consistent.
    ///
    /// # Errors
    /// [`Error::Config`] naming the first setting that is not.
    pub fn validate(&self) -> Result<(), Error> {
        let fail = |key, problem: String| Err(Error::Config { key, problem });
        const WIDTH: usize = 1 << 24;
        const COUNT: usize = 1 << 12;
        for (key, value, most) in [
            ("vocab_size", self.vocab_size, WIDTH),
            ("d_model", self.d_model, WIDTH),
            ("d_kv", self.d_kv, WIDTH),
            ("d_ff", self.d_ff, WIDTH),
            ("num_layers", self.num_layers, COUNT),
            ("num_decoder_layers", self.num_decoder_layers, COUNT),
            ("num_heads", self.num_heads, COUNT),
            ("relative_attention_max_distance", self.relative_attention_max_distance, WIDTH),
        ] {
            if value == 0 || value > most {
                return fail(key, format!("is {value}; expected 1 to {most}"));
            }
        }
        let (buckets, distance) =
            (self.relative_attention_num_buckets, self.relative_attention_max_distance);
        if !(4..=1 << 16).contains(&buckets) {
            let problem = format!("is {buckets}; expected 4 to {}", 1 << 16);
            return fail("relative_attention_num_buckets", problem);
        }
        if distance <= buckets / 2 {
            let problem = format!("is {distance}; {buckets} buckets need more than half of that");
            return fail("relative_attention_max_distance", problem);
        }
        if !(self.layer_norm_epsilon.is_finite() && self.layer_norm_epsilon > 0.0) {
            let problem = format!("is {}; expected > 0", self.layer_norm_epsilon);
            return fail("layer_norm_epsilon", problem);
        }
        if !(self.initializer_factor.is_finite() && self.initializer_factor > 0.0) {
            let problem = format!("is {}; expected > 0", self.initializer_factor);
            return fail("initializer_factor", problem);
        }
        if !(0.0..1.0).contains(&self.dropout_rate) {
            return fail("dropout_rate", format!("is {}; expected 0 to 1", self.dropout_rate));
        }
        let start = ("decoder_start_token_id", self.decoder_start_token_id);
        let pad = self.pad_token_id.map(|id| ("pad_token_id", id));
        let eos = self.eos_token_ids.iter().map(|id| ("eos_token_id", *id));
        for (key, id) in std::iter::once(start).chain(pad).chain(eos) {
            if id as usize >= self.vocab_size {
                let problem = format!("is {id}; the vocabulary has {} tokens", self.vocab_size);
                return fail(key, problem);
            }
        }
        Ok(())
    }

    /// Width of all heads together.
    pub fn inner_width(&self) -> usize {
        self.num_heads * self.d_kv
    }

    /// Factor on the last hidden state.
    pub(crate) fn output_scale(&self) -> f32 {
        if self.scale_decoder_outputs { 1.0 / (self.d_model as f32).sqrt() } else { 1.0 }
    }
}
