//! Training steps: forward, backward, clipping by the global norm, AdamW.

use std::path::Path;

use afterthought_models::{Decoder, hub};
use afterthought_training::estimator::{Pass, log_probs};
use afterthought_training::{AdamW, Decay, Learner, Schedule};
use burn::tensor::Device;
use serde_json::{Map, Value};

use crate::inputs::{Inputs, TrainBatch};
use crate::worker::{object, serve};

/// Serves training steps on the batches in turn.
pub(crate) fn run(model: &Path) -> anyhow::Result<()> {
    let inputs = Inputs::read(model)?;
    let decoder = hub::load(model, &Device::flex())?;
    let ready = agreement(&decoder, &inputs)?;
    let optimizer =
        AdamW { beta_1: 0.9, beta_2: 0.99, epsilon: 1e-8, weight_decay: 0.01, max_grad_norm: 1.0 };
    let schedule = Schedule { peak: 1e-4, warmup: 0, total: 1, decay: Decay::Constant };
    let mut learner = Learner::new(decoder, optimizer, schedule);
    let batches: Vec<(Vec<Pass>, &TrainBatch)> =
        inputs.batches.iter().map(|batch| (batch.passes(), batch)).collect();
    let mut turns = batches.iter().cycle();
    serve(ready, || {
        // There is at least one batch: `agreement` read it.
        let Some((passes, batch)) = turns.next() else {
            anyhow::bail!("inputs.json has no batches");
        };
        let (update, ()) = learner.update(passes, passes.len(), |log_probs| {
            let coefficients = batch.weight.iter().map(|weight| -f64::from(*weight)).collect();
            (weighted(log_probs, &batch.weight), coefficients, ())
        })?;
        Ok(object([("units", batch.tokens().into()), ("loss", update.loss.into())]))
    })
}

fn weighted(log_probs: &[f32], weights: &[f32]) -> f64 {
    log_probs.iter().zip(weights).map(|(l, w)| -f64::from(*l) * f64::from(*w)).sum()
}

/// What both sides must agree on before anything is timed: the loss of the first batch, its first
/// log-probabilities and the number of parameters.
pub(crate) fn agreement(decoder: &Decoder, inputs: &Inputs) -> anyhow::Result<Map<String, Value>> {
    let Some(batch) = inputs.batches.first() else {
        anyhow::bail!("inputs.json has no batches");
    };
    let values = log_probs(decoder, &batch.passes(), batch.rows.len())?;
    Ok(object([
        ("loss", weighted(&values, &batch.weight).into()),
        ("log_probs", values[..values.len().min(16)].into()),
        ("parameters", decoder.parameter_counts().0.into()),
    ]))
}
