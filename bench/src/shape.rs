//! The models that are compared.

use afterthought_models::DecoderConfig;
use afterthought_models::family::Family;
use afterthought_tasks::writers::vocabulary;
use afterthought_text::{SpecialTokens, Tokenizer, word_level};
use clap::ValueEnum;

use crate::recipe::Recipe;

/// A model by size and kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shape {
    /// recipes/d1/laptop.toml: 0.37 M parameters, bidirectional, vocabulary of the two tasks.
    #[value(name = "d1")]
    D1,
    /// 5 M parameters, causal.
    #[value(name = "5m")]
    Small,
    /// 5 M parameters, bidirectional, with a mask token.
    #[value(name = "5m-diffusion")]
    SmallDiffusion,
    /// 60 M parameters, causal.
    #[value(name = "60m")]
    Medium,
}

/// Special tokens come first in every vocabulary, in this order.
pub(crate) const BOS: u32 = 0;
pub(crate) const EOS: u32 = 1;
pub(crate) const MASK: u32 = 2;

impl Shape {
    /// The tokenizer; its words matter for `d1` alone.
    pub(crate) fn tokenizer(self) -> anyhow::Result<Tokenizer> {
        let words = match self {
            Self::D1 => vocabulary(),
            _ => Vec::new(),
        };
        Ok(word_level(&words, &SpecialTokens::default())?)
    }

    /// The settings of the model.
    pub(crate) fn config(self) -> anyhow::Result<DecoderConfig> {
        let bidirectional = matches!(self, Self::D1 | Self::SmallDiffusion);
        let (vocab_size, hidden, intermediate, layers, heads, positions) = match self {
            Self::D1 => {
                let model = Recipe::laptop()?.model;
                let vocab_size = self.tokenizer()?.vocab_size();
                let (hidden, inner) = (model.hidden_size, model.intermediate_size);
                (vocab_size, hidden, inner, model.layers, model.heads, 88)
            }
            Self::Small | Self::SmallDiffusion => (4096, 256, 640, 4, 4, 512),
            Self::Medium => (16384, 512, 1408, 13, 8, 512),
        };
        Ok(DecoderConfig {
            family: Family::with(self == Self::D1, false),
            vocab_size,
            hidden_size: hidden,
            intermediate_size: intermediate,
            num_hidden_layers: layers,
            num_attention_heads: heads,
            num_key_value_heads: heads,
            head_dim: hidden / heads,
            rms_norm_eps: 1e-5,
            rope_theta: 10_000.0,
            max_position_embeddings: positions,
            tie_word_embeddings: false,
            attention_bias: false,
            qk_norm: self == Self::D1,
            causal: !bidirectional,
            initializer_range: 0.05,
            mask_token_id: bidirectional.then_some(MASK),
            bos_token_id: Some(BOS),
            eos_token_id: Some(EOS),
            pad_token_id: Some(EOS),
            ..DecoderConfig::default()
        })
    }
}
