//! One step of masked-diffusion pre-training or supervised fine-tuning.

use crate::estimator::{Pass, Scored, log_probs};
use crate::objective::{Example, MaskedBatch, MdlmOptions, Noise, mask_batch};
use crate::{Error, Learner, Update};
use afterthought_models::Decoder;

/// Draws masks for `examples` and takes one update; `step` keys the masks. If chance masks nothing
/// at all, the loss is zero and no update is taken.
///
/// # Errors
/// Those of [`mask_batch`] and [`Learner::update`]; [`Error::Empty`] without examples.
pub fn supervised_step(
    learner: &mut Learner,
    examples: &[&Example],
    options: &MdlmOptions,
    [mask, eos]: [u32; 2],
    [seed, step]: [u64; 2],
    max_rows: usize,
) -> Result<Update, Error> {
    if examples.is_empty() {
        return Err(Error::Empty("examples"));
    }
    let (passes, weights) = layout(mask_batch(examples, options, [mask, eos], seed, step)?);
    if passes.is_empty() {
        return Ok(Update { loss: 0.0, grad_norm: 0.0, learning_rate: 0.0 });
    }
    let (update, ()) = learner.update(&passes, max_rows, |log_probs| {
        let loss =
            log_probs.iter().zip(&weights).map(|(l, w)| -f64::from(*l) * f64::from(*w)).sum();
        (loss, weights.iter().map(|weight| -f64::from(*weight)).collect(), ())
    })?;
    Ok(update)
}

/// The loss of `examples` as one batch whose mask rates are spread evenly, so that it varies little
/// with the masks; those are the same in every call.
///
/// # Errors
/// Those of [`mask_batch`] and of the model; [`Error::Empty`] without examples.
pub fn supervised_loss(
    decoder: &Decoder,
    examples: &[&Example],
    options: &MdlmOptions,
    [mask, eos]: [u32; 2],
    seed: u64,
    max_rows: usize,
) -> Result<f64, Error> {
    if examples.is_empty() {
        return Err(Error::Empty("examples"));
    }
    let options = MdlmOptions { noise: Noise::Stratified, ..*options };
    // No step of a training run has this number.
    let batch = mask_batch(examples, &options, [mask, eos], seed, u64::MAX)?;
    let (passes, weights) = layout(batch);
    if passes.is_empty() {
        return Ok(0.0);
    }
    let values = log_probs(decoder, &passes, max_rows)?;
    Ok(values.iter().zip(&weights).map(|(l, w)| -f64::from(*l) * f64::from(*w)).sum())
}

/// The passes of a batch and the weights of what they score. Rows in which nothing is masked add
/// nothing to the loss.
fn layout(batch: MaskedBatch) -> (Vec<Pass>, Vec<f32>) {
    let mut passes: Vec<Pass> =
        batch.rows.into_iter().map(|canvas| Pass { canvas, scored: Vec::new() }).collect();
    for ((row, column), token) in batch.row.iter().zip(&batch.column).zip(&batch.targets) {
        passes[*row].scored.push(Scored { column: *column, token: *token });
    }
    passes.retain(|pass| !pass.scored.is_empty());
    (passes, batch.weights)
}
