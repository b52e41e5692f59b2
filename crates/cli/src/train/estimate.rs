//! What a run will need, before it begins.

use std::time::Instant;

use afterthought_kernels::{Precision, linear, precision};
use afterthought_models::DecoderConfig;
use afterthought_recipes::train::{Method, Train};
use burn::tensor::{Device, Tensor};
use serde::Serialize;

use super::start::Start;
use crate::commands::loaded::weight_bytes;

/// The memory of a run.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Size {
    pub(super) parameters: u64,
    pub(super) trainable: u64,
    /// Weights, gradients, optimiser state and copies that rollouts or comparisons need.
    pub(super) state_bytes: u64,
    /// About what a forward pass keeps for its backward pass.
    pub(super) activation_bytes: u64,
    /// One checkpoint on disk.
    pub(super) checkpoint_bytes: u64,
}

/// About what a run needs.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Estimate {
    #[serde(flatten)]
    pub(super) size: Size,
    /// Floating-point operations of a step.
    pub(super) step_flops: f64,
    /// What this machine multiplied just now.
    pub(super) flops_per_second: f64,
    pub(super) step_seconds: f64,
    pub(super) total_seconds: f64,
    pub(super) total_steps: u64,
}

/// Share of the speed of one large product that a whole step reaches; between a half and two thirds
/// was measured, from 0.4 to 1200 million parameters.
const EFFICIENCY: f64 = 0.5;

/// Adds up the memory of a run from shapes and lengths.
///
/// # Errors
/// A target of the adapter matches nothing.
pub(super) fn size(train: &Train, start: &Start, longest: usize) -> anyhow::Result<Size> {
    let config = &start.config;
    let shapes = config.tensors();
    let count = |shape: &Vec<usize>| shape.iter().map(|n| *n as u64).product::<u64>();
    let parameters: u64 = shapes.iter().map(|(_, shape)| count(shape)).sum();
    let adapted = start.adapted()?;
    let rank = train.lora.as_ref().map_or(0, |lora| lora.rank as u64);
    let trainable = match &adapted {
        Some(layers) => {
            layers.iter().map(|layer| (layer.inputs + layer.outputs) as u64 * rank).sum()
        }
        None => parameters,
    };
    let frozen = weight_bytes(&start.loaded.checkpoint, false);
    let weights = match &adapted {
        Some(_) => frozen + 4 * trainable,
        // The model, and the one that it is compared with.
        None if train.method == Method::DiffuGrpo => 8 * parameters,
        None => 4 * parameters,
    };
    // Cached rollouts are decoded by a packed copy of the policy.
    let cached = train.sampling.as_ref().is_some_and(|sampling| sampling.cache != "exact");
    let packed = match (cached, precision()) {
        (false, _) => 0,
        (true, Precision::Bf16) => 2 * parameters,
        (true, Precision::F32) => 4 * parameters,
    };
    // A gradient and two moments.
    let state_bytes = weights + 12 * trainable + packed;
    let rows = train.run.rows_at_once as u64;
    let width = longest + train.sampling.as_ref().map_or(0, |sampling| sampling.gen_length);
    let activation_bytes =
        rows.min(work(train, longest).rows as u64) * width as u64 * activations_per_token(config);
    Ok(Size {
        parameters,
        trainable,
        state_bytes,
        activation_bytes,
        checkpoint_bytes: 12 * trainable,
    })
}

/// Estimates from shapes and lengths, and a short measurement of this machine.
///
/// # Errors
/// Those of [`size()`].
pub(super) fn estimate(
    train: &Train,
    start: &Start,
    longest: usize,
    total_steps: u64,
) -> anyhow::Result<Estimate> {
    let size = size(train, start, longest)?;
    let work = work(train, longest);
    // Forward 2, backward 2 for the inputs and 2 for the weights that are trained.
    let per_token = 2.0 * size.parameters as f64;
    let backward = if train.lora.is_some() { 1.0 } else { 2.0 };
    let step_flops = per_token * (work.forward + work.trained * (1.0 + backward));
    let flops_per_second = measure();
    let step_seconds = step_flops / (flops_per_second * EFFICIENCY);
    Ok(Estimate {
        size,
        step_flops,
        flops_per_second,
        step_seconds,
        total_seconds: step_seconds * total_steps as f64,
        total_steps,
    })
}

/// Tokens of a step: through the model forward only, and forward and backward.
struct Work {
    forward: f64,
    trained: f64,
    rows: usize,
}

fn work(train: &Train, longest: usize) -> Work {
    match (&train.rl, &train.sampling) {
        (Some(rl), Some(sampling)) => {
            let rows = rl.prompts * rl.group_size;
            let width = (longest + sampling.gen_length) as f64;
            // Under a threshold nobody knows; caches make it less.
            let decoding = (sampling.gen_length / sampling.tokens_at_once()) as f64;
            let mu = rl.inner_updates as f64;
            // Under the old policy, but for the first update, and under the reference.
            let scoring = mu - 1.0 + if rl.beta > 0.0 { mu } else { 0.0 };
            let tokens = rows as f64 * width;
            Work { forward: tokens * (decoding + scoring), trained: tokens * mu, rows }
        }
        _ => {
            let rows = train.run.batch.unwrap_or(1);
            Work { forward: 0.0, trained: (rows * longest) as f64, rows }
        }
    }
}

/// Bytes that the layers keep for a token: inputs of the products, queries, keys, values, gate and up.
fn activations_per_token(config: &DecoderConfig) -> u64 {
    let queries = config.num_attention_heads * config.head_dim;
    let keys = config.num_key_value_heads * config.head_dim;
    let layer = 4 * config.hidden_size + 2 * queries + 2 * keys + 3 * config.intermediate_size;
    4 * (layer * config.num_hidden_layers) as u64
}

/// Operations a second of a product of middling size, in the precision in use.
fn measure() -> f64 {
    let device = Device::flex();
    let (rows, width) = (512usize, 1024usize);
    let x = Tensor::<2>::ones([rows, width], &device);
    let weight = Tensor::<2>::ones([width, width], &device);
    let once = || linear(x.clone(), weight.clone()).into_data();
    drop(once());
    let (begun, mut products) = (Instant::now(), 0u32);
    while begun.elapsed().as_millis() < 200 {
        drop(once());
        products += 1;
    }
    let operations = 2.0 * (rows * width * width) as f64 * f64::from(products);
    operations / begun.elapsed().as_secs_f64()
}
