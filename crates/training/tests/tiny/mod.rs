//! A masked-diffusion decoder small enough to enumerate, and how to read and compare weights.
#![allow(dead_code)]

use afterthought_models::{Decoder, DecoderConfig, Parameter, ParameterVisitor};
use afterthought_random::Stream;
use afterthought_sampling::diffusion::DiffusionParams;
use afterthought_text::{SpecialTokens, Tokenizer, word_level};
use afterthought_training::{AdamW, Decay, PromptFormat, Schedule};
use burn::tensor::{Device, Tensor};

pub(crate) const BOS: u32 = 0;
pub(crate) const EOS: u32 = 1;
pub(crate) const MASK: u32 = 2;

/// `<bos> <eos> <mask> <unk>` and four words.
pub(crate) fn tokenizer() -> Tokenizer {
    let words = ["a", "b", "c", "d"].map(str::to_owned);
    word_level(&words, &SpecialTokens { pad: None, ..SpecialTokens::default() }).unwrap()
}

pub(crate) fn format() -> PromptFormat {
    PromptFormat {
        tokenizer: tokenizer(),
        bos: Some(BOS),
        eos: EOS,
        style: afterthought_tasks::PromptStyle::Compact,
        chat: None,
    }
}

pub(crate) fn config() -> DecoderConfig {
    DecoderConfig {
        vocab_size: 8,
        hidden_size: 16,
        intermediate_size: 24,
        num_hidden_layers: 2,
        num_attention_heads: 2,
        num_key_value_heads: 1,
        head_dim: 8,
        rms_norm_eps: 1e-5,
        rope_theta: 100.0,
        max_position_embeddings: 32,
        tie_word_embeddings: false,
        attention_bias: false,
        qk_norm: true,
        causal: false,
        initializer_range: 0.02,
        mask_token_id: Some(MASK),
        bos_token_id: Some(BOS),
        eos_token_id: Some(EOS),
        pad_token_id: None,
        ..DecoderConfig::default()
    }
}

/// Weights large enough that predictions depend clearly on the canvas.
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

/// One block, one token a step, sampled at temperature 1.
pub(crate) fn sampling(gen_length: usize) -> DiffusionParams {
    DiffusionParams { temperature: 1.0, ..DiffusionParams::new(gen_length, MASK, EOS, EOS) }
}

pub(crate) fn constant(learning_rate: f64) -> Schedule {
    Schedule { peak: learning_rate, warmup: 0, total: 1, decay: Decay::Constant }
}

pub(crate) fn adamw() -> AdamW {
    AdamW { beta_1: 0.9, beta_2: 0.99, epsilon: 1e-8, weight_decay: 0.0, max_grad_norm: 1.0 }
}

/// AdamW whose step is proportional to the gradient: without memory, and with an epsilon beside
/// which the second moment vanishes. The step is `learning_rate / SGD_EPSILON * gradient`.
pub(crate) fn sgd() -> AdamW {
    let (epsilon, max_grad_norm) = (SGD_EPSILON, 1e9);
    AdamW { beta_1: 0.0, beta_2: 0.0, epsilon, weight_decay: 0.0, max_grad_norm }
}

pub(crate) const SGD_EPSILON: f64 = 1e9;

pub(crate) fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec().unwrap()
}

struct Weights(Vec<Vec<f32>>);

impl ParameterVisitor for Weights {
    fn visit<const D: usize>(&mut self, parameter: &mut Parameter<D>) {
        self.0.push(values(parameter.value.clone()));
    }
}

/// The values of every parameter, in visiting order.
pub(crate) fn weights(decoder: &Decoder) -> Vec<Vec<f32>> {
    let mut weights = Weights(Vec::new());
    decoder.clone().visit(&mut weights);
    weights.0
}

/// The largest difference between two models of the same shape.
pub(crate) fn distance(a: &[Vec<f32>], b: &[Vec<f32>]) -> f32 {
    assert_eq!(a.len(), b.len());
    let pairs = a.iter().zip(b).flat_map(|(a, b)| {
        assert_eq!(a.len(), b.len());
        a.iter().zip(b)
    });
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// Runs `work` in a pool of its own.
pub(crate) fn with_threads<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(work)
}

/// Mean and its standard error.
pub(crate) fn mean(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, (squares / (count - 1.0) / count).sqrt())
}
