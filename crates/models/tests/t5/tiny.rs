//! Tiny models in every setting, and how to read them.

use afterthought_kernels::Activation;
use afterthought_models::{
    Batch, EncoderDecoder, EncoderDecoderConfig, Parameter, ParameterVisitor,
};
use afterthought_random::Stream;
use burn::tensor::{Device, Tensor};
use std::sync::Arc;

pub(crate) const VOCAB: usize = 13;

/// Widths differ, the heads are wider than the model, the stacks differ in depth, and the buckets
/// are few enough that short rows reach the last.
pub(crate) fn config() -> EncoderDecoderConfig {
    EncoderDecoderConfig {
        vocab_size: VOCAB,
        d_model: 12,
        d_kv: 5,
        d_ff: 18,
        num_layers: 2,
        num_decoder_layers: 3,
        num_heads: 3,
        relative_attention_num_buckets: 8,
        relative_attention_max_distance: 9,
        activation: Activation::Relu,
        is_gated_act: false,
        layer_norm_epsilon: 1e-6,
        tie_word_embeddings: true,
        scale_decoder_outputs: true,
        initializer_factor: 1.0,
        dropout_rate: 0.1,
        decoder_start_token_id: 0,
        pad_token_id: Some(0),
        eos_token_ids: vec![1],
    }
}

pub(crate) fn settings() -> Vec<(&'static str, EncoderDecoderConfig)> {
    let with = |change: fn(&mut EncoderDecoderConfig)| {
        let mut config = config();
        change(&mut config);
        config
    };
    vec![
        ("T5", config()),
        (
            "v1.1",
            with(|c| {
                (c.tie_word_embeddings, c.scale_decoder_outputs) = (false, false);
                (c.activation, c.is_gated_act) = (Activation::GeluTanh, true);
            }),
        ),
        ("gelu", with(|c| (c.activation, c.num_heads, c.d_kv) = (Activation::Gelu, 1, 4))),
        ("gated relu", with(|c| c.is_gated_act = true)),
        ("unscaled", with(|c| c.scale_decoder_outputs = false)),
    ]
}

/// A model in which no weight has a special value.
pub(crate) fn model(config: EncoderDecoderConfig, seed: u64) -> EncoderDecoder {
    let mut index = 0;
    EncoderDecoder::build(config, &Device::flex(), &mut |name, shape| {
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

pub(crate) fn rows(lengths: &[usize], seed: u64) -> Vec<Vec<u32>> {
    let mut stream = Stream::new(seed, "test rows", 0, 0);
    let mut row = |length: usize| (0..length).map(|_| stream.below(VOCAB) as u32).collect();
    lengths.iter().map(|length| row(*length)).collect()
}

/// Flat positions of the real tokens of a batch.
pub(crate) fn real_positions(batch: &Batch) -> Arc<[u32]> {
    let width = batch.width();
    let lengths = batch.lengths().iter().enumerate();
    lengths
        .flat_map(|(row, length)| (0..*length).map(move |column| (row * width + column) as u32))
        .collect()
}

/// Logits of all real positions of the targets.
pub(crate) fn logits(
    model: &EncoderDecoder,
    sources: &[Vec<u32>],
    targets: &[Vec<u32>],
) -> Vec<f32> {
    let sources = Batch::from_rows(sources, 0).unwrap();
    let targets = Batch::from_rows(targets, 0).unwrap();
    let encoded = model.encode(&sources).unwrap();
    values(model.logits_at(&encoded, &targets, real_positions(&targets)).unwrap())
}

pub(crate) fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec().unwrap()
}

pub(crate) fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// Name, shape and values of every parameter.
#[derive(Default)]
pub(crate) struct Weights(pub(crate) Vec<(String, Vec<usize>, Vec<f32>)>);

impl ParameterVisitor for Weights {
    fn visit<const D: usize>(&mut self, parameter: &mut Parameter<D>) {
        let shape = parameter.value.dims().to_vec();
        self.0.push((parameter.name.clone(), shape, values(parameter.value.clone().inner())));
    }
}

pub(crate) fn weights(model: &EncoderDecoder) -> Weights {
    let mut weights = Weights::default();
    model.clone().visit(&mut weights);
    weights
}
