//! Tiny decoders in every setting, and how to read their weights.
#![allow(dead_code)]

use afterthought_models::family::Family;
use afterthought_models::{
    Batch, Decoder, DecoderConfig, Parameter, ParameterVisitor, RopeScaling, SlidingWindow,
};
use afterthought_random::Stream;
use burn::tensor::{Device, Tensor};
use std::sync::Arc;

pub(crate) const VOCAB: usize = 11;
pub(crate) const MASK: u32 = 10;

pub(crate) fn config() -> DecoderConfig {
    DecoderConfig {
        vocab_size: VOCAB,
        hidden_size: 16,
        intermediate_size: 24,
        num_hidden_layers: 2,
        num_attention_heads: 4,
        num_key_value_heads: 4,
        head_dim: 6,
        rms_norm_eps: 1e-5,
        rope_theta: 100.0,
        max_position_embeddings: 32,
        tie_word_embeddings: false,
        attention_bias: false,
        qk_norm: false,
        causal: false,
        initializer_range: 0.02,
        mask_token_id: Some(MASK),
        bos_token_id: Some(0),
        eos_token_id: Some(1),
        pad_token_id: None,
        ..DecoderConfig::default()
    }
}

/// One config for each thing that a config can change in the forward pass, and mixtures.
pub(crate) fn settings() -> Vec<(&'static str, DecoderConfig)> {
    let plain = config();
    let with = |change: fn(&mut DecoderConfig)| {
        let mut config = config();
        change(&mut config);
        config
    };
    let settings = vec![
        ("plain", plain),
        ("GQA", with(|c| c.num_key_value_heads = 2)),
        ("query/key norms", with(|c| c.qk_norm = true)),
        ("biases", with(|c| c.attention_bias = true)),
        ("tied head", with(|c| c.tie_word_embeddings = true)),
        ("causal", with(|c| c.causal = true)),
        (
            "Qwen2-like",
            with(|c| {
                (c.num_key_value_heads, c.attention_bias) = (1, true);
                (c.tie_word_embeddings, c.causal) = (true, true);
            }),
        ),
        ("Qwen3-like", with(|c| (c.num_key_value_heads, c.qk_norm, c.causal) = (2, true, true))),
        (
            "window",
            with(|c| {
                let layers = vec![true, false];
                c.sliding_window = Some(SlidingWindow { width: 3, layers });
                (c.qk_norm, c.causal) = (true, true);
            }),
        ),
        (
            "all biases",
            with(|c| (c.attention_bias, c.output_bias, c.mlp_bias) = (true, true, true)),
        ),
        (
            "shifted logits",
            with(|c| {
                (c.shifted_logits, c.attention_bias) = (true, true);
            }),
        ),
        ("dynamic", with(|c| c.rope_scaling = RopeScaling::Dynamic { factor: 4.0 })),
    ];
    let family = |c: &DecoderConfig| match (c.shifted_logits, c.mlp_bias) {
        (true, _) => Family::Dream,
        (_, true) => Family::Llama,
        _ => Family::with(c.qk_norm, c.attention_bias),
    };
    let with_family = |(name, config)| {
        let family = family(&config);
        (name, DecoderConfig { family, ..config })
    };
    settings.into_iter().map(with_family).collect()
}

/// A decoder in which no weight has a special value: norms are not one and biases not zero.
pub(crate) fn decoder(config: DecoderConfig, seed: u64) -> Decoder {
    let mut index = 0;
    Decoder::build(config, &Device::flex(), &mut |name, shape| {
        index += 1;
        let mut stream = Stream::new(seed, "test weights", index, 0);
        let centre = if name.ends_with("norm.weight") { 1.0 } else { 0.0 };
        let count: usize = shape.iter().product();
        let values: Vec<f32> =
            (0..count).map(|_| (centre + 0.3 * stream.normal()) as f32).collect();
        Ok(values.into())
    })
    .unwrap()
}

/// Rows of data tokens, never the mask token.
pub(crate) fn rows(lengths: &[usize], seed: u64) -> Vec<Vec<u32>> {
    let mut stream = Stream::new(seed, "test rows", 0, 0);
    lengths
        .iter()
        .map(|length| (0..*length).map(|_| stream.below(VOCAB - 1) as u32).collect())
        .collect()
}

/// Flat positions of the real tokens of a batch.
pub(crate) fn real_positions(batch: &Batch) -> Arc<[u32]> {
    let width = batch.width();
    let lengths = batch.lengths().iter().enumerate();
    lengths
        .flat_map(|(row, length)| (0..*length).map(move |column| (row * width + column) as u32))
        .collect()
}

pub(crate) fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec().unwrap()
}

/// Name, shape, whether trainable, and values of every parameter.
#[derive(Default)]
pub(crate) struct Weights(pub(crate) Vec<(String, Vec<usize>, bool, Vec<f32>)>);

impl ParameterVisitor for Weights {
    fn visit<const D: usize>(&mut self, parameter: &mut Parameter<D>) {
        let shape = parameter.value.dims().to_vec();
        let values = values(parameter.value.clone().inner());
        self.0.push((parameter.name.clone(), shape, parameter.trainable, values));
    }
}

pub(crate) fn weights(decoder: &Decoder) -> Weights {
    let mut weights = Weights::default();
    decoder.clone().visit(&mut weights);
    weights
}
