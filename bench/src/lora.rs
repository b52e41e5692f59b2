//! Training a LoRA adapter on a frozen bf16 model of the size of Llama 3.2 1B: time and memory.

use afterthought_adapters::{LoraConfig, Targets, attach_new};
use afterthought_models::{Decoder, DecoderConfig};
use afterthought_training::estimator::{Pass, Scored};
use afterthought_training::{AdamW, Decay, Learner, Schedule};
use burn::tensor::Device;
use clap::Args;

use crate::worker::{object, serve};

/// Size of a step.
#[derive(Args)]
pub(crate) struct LoraStep {
    /// Sequences of a step.
    #[arg(long, default_value_t = 4)]
    rows: usize,
    /// Tokens of a sequence.
    #[arg(long, default_value_t = 512)]
    tokens: usize,
    /// Rank of the adapter, which every linear layer but the head gets.
    #[arg(long, default_value_t = 16)]
    rank: usize,
    /// Probability with which the adapter drops inputs.
    #[arg(long, default_value_t = 0.0)]
    dropout: f64,
    /// Decoder blocks; those of the model by default.
    #[arg(long, default_value_t = 16)]
    layers: usize,
}

/// Serves steps that predict every next token of fixed sequences.
pub(crate) fn run(step: &LoraStep) -> anyhow::Result<()> {
    let mut decoder = random_halves(config(step))?;
    let mut lora = LoraConfig::new(Targets::all_linear());
    (lora.rank, lora.alpha, lora.dropout) = (step.rank, 2.0 * step.rank as f64, step.dropout);
    attach_new(&mut decoder, &lora, 1)?;
    let (parameters, trainable) = decoder.parameter_counts();
    let optimizer =
        AdamW { beta_1: 0.9, beta_2: 0.999, epsilon: 1e-8, weight_decay: 0.0, max_grad_norm: 1.0 };
    let schedule = Schedule { peak: 1e-3, warmup: 0, total: 1, decay: Decay::Constant };
    let mut learner = Learner::new(decoder, optimizer, schedule);
    if step.dropout > 0.0 {
        learner = learner.with_dropout(1);
    }
    let passes: Vec<Pass> = (0..step.rows).map(|row| pass(row, step.tokens)).collect();
    let ready = object([("parameters", parameters.into()), ("trainable", trainable.into())]);
    serve(ready, || {
        let (update, ()) = learner.update(&passes, passes.len(), |log_probs| {
            let share = 1.0 / log_probs.len() as f64;
            let sum: f64 = log_probs.iter().map(|value| f64::from(*value)).sum();
            (-sum * share, vec![-share; log_probs.len()], ())
        })?;
        let units = step.rows * step.tokens;
        Ok(object([
            ("units", units.into()),
            ("loss", update.loss.into()),
            ("grad_norm", update.grad_norm.into()),
        ]))
    })
}

/// The shape of Llama 3.2 1B, but for its scaled rotary frequencies.
fn config(step: &LoraStep) -> DecoderConfig {
    DecoderConfig {
        vocab_size: 128_256,
        hidden_size: 2048,
        intermediate_size: 8192,
        num_hidden_layers: step.layers,
        num_attention_heads: 32,
        num_key_value_heads: 8,
        head_dim: 64,
        rms_norm_eps: 1e-5,
        rope_theta: 500_000.0,
        max_position_embeddings: step.tokens,
        tie_word_embeddings: true,
        attention_bias: false,
        qk_norm: false,
        causal: true,
        initializer_range: 0.02,
        mask_token_id: None,
        bos_token_id: None,
        eos_token_id: None,
        pad_token_id: None,
        ..DecoderConfig::default()
    }
}

/// A frozen decoder whose weights bf16 holds: uniform within 0.03, norms of one.
fn random_halves(config: DecoderConfig) -> anyhow::Result<Decoder> {
    let mut state = 1u64;
    let mut value = move || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let uniform = (state >> 40) as f32 / (1u32 << 24) as f32;
        f32::from_bits((0.06 * (uniform - 0.5)).to_bits() & 0xffff_0000)
    };
    let decoder = Decoder::build_frozen(config, &Device::flex(), &mut |name, shape| {
        let count = shape.iter().product();
        Ok(match name.ends_with("norm.weight") {
            true => vec![1.0; count],
            false => (0..count).map(|_| value()).collect(),
        }
        .into())
    })?;
    Ok(decoder)
}

/// Every token but the first is predicted from those before it.
fn pass(row: usize, tokens: usize) -> Pass {
    let token = |column: usize| ((row * 7919 + column * 104_729) % 128_256) as u32;
    Pass {
        canvas: (0..tokens).map(token).collect(),
        scored: (1..tokens).map(|next| Scored { column: next - 1, token: token(next) }).collect(),
    }
}
