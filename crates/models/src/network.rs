use crate::{DecoderConfig, EncoderDecoderConfig, NamedShape};

/// The settings of a model of either architecture: what a `config.json` describes.
#[derive(Clone, Debug, PartialEq)]
pub enum Network {
    /// A decoder, causal or bidirectional.
    Decoder(DecoderConfig),
    /// An encoder, and a causal decoder that attends to what it makes of a source.
    EncoderDecoder(EncoderDecoderConfig),
}

impl Network {
    /// Rows of the embedding table.
    pub fn vocab_size(&self) -> usize {
        match self {
            Self::Decoder(config) => config.vocab_size,
            Self::EncoderDecoder(config) => config.vocab_size,
        }
    }

    /// Names and shapes of the weights.
    pub fn tensors(&self) -> Vec<NamedShape> {
        match self {
            Self::Decoder(config) => config.tensors(),
            Self::EncoderDecoder(config) => config.tensors(),
        }
    }

    /// Weights.
    pub fn parameters(&self) -> usize {
        self.tensors().iter().map(|(_, shape)| shape.iter().product::<usize>()).sum()
    }

    /// Whether the head is the embedding table.
    pub fn tied(&self) -> bool {
        match self {
            Self::Decoder(config) => config.tie_word_embeddings,
            Self::EncoderDecoder(config) => config.tie_word_embeddings,
        }
    }

    /// Tokens with a role: (role, id), as `config.json` names them.
    pub fn special_ids(&self) -> [(&'static str, Option<u32>); 4] {
        match self {
            Self::Decoder(config) => [
                ("bos", config.bos_token_id),
                ("eos", config.eos_token_id),
                ("mask", config.mask_token_id),
                ("pad", config.pad_token_id),
            ],
            Self::EncoderDecoder(config) => [
                ("decoder_start", Some(config.decoder_start_token_id)),
                ("eos", config.eos_token_ids.first().copied()),
                ("mask", None),
                ("pad", config.pad_token_id),
            ],
        }
    }

    /// Every token that `config.json` says ends a sequence.
    pub fn eos_ids(&self) -> Vec<u32> {
        match self {
            Self::Decoder(config) => {
                let others = config.other_eos_token_ids.iter().copied();
                config.eos_token_id.into_iter().chain(others).collect()
            }
            Self::EncoderDecoder(config) => config.eos_token_ids.clone(),
        }
    }

    /// Most tokens of a prompt and of its completion, where the two share them or each has its own.
    pub fn positions(&self) -> Positions {
        match self {
            Self::Decoder(config) => Positions::Shared(config.max_positions()),
            Self::EncoderDecoder(_) => Positions::Each(EncoderDecoderConfig::MAX_POSITIONS),
        }
    }

    /// Most tokens of prompt and completion together.
    pub fn all_positions(&self) -> usize {
        match self.positions() {
            Positions::Shared(all) => all,
            Positions::Each(each) => 2 * each,
        }
    }

    /// Values that the keys and values of a token take in a cache.
    pub fn cached_values(&self) -> usize {
        match self {
            Self::Decoder(config) => {
                2 * config.num_hidden_layers * config.num_key_value_heads * config.head_dim
            }
            Self::EncoderDecoder(config) => 2 * config.num_decoder_layers * config.inner_width(),
        }
    }
}

/// See [`Network::positions`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Positions {
    /// Prompt and completion stand in one sequence.
    Shared(usize),
    /// They are sequences of their own.
    Each(usize),
}
