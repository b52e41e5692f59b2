//! One step of masked-diffusion pre-training or supervised fine-tuning.

use crate::estimator::{Pass, Scored};
use crate::objective::{Example, MdlmOptions, mask_batch};
use crate::{Error, Learner, Update};

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
    let batch = mask_batch(examples, options, [mask, eos], seed, step)?;
    let mut passes: Vec<Pass> =
        batch.rows.into_iter().map(|canvas| Pass { canvas, scored: Vec::new() }).collect();
    for ((row, column), token) in batch.row.iter().zip(&batch.column).zip(&batch.targets) {
        passes[*row].scored.push(Scored { column: *column, token: *token });
    }
    // Rows in which nothing is masked add nothing to the loss.
    passes.retain(|pass| !pass.scored.is_empty());
    if passes.is_empty() {
        return Ok(Update { loss: 0.0, grad_norm: 0.0, learning_rate: 0.0 });
    }
    let weights = batch.weights;
    let (update, ()) = learner.update(&passes, max_rows, |log_probs| {
        let loss =
            log_probs.iter().zip(&weights).map(|(l, w)| -f64::from(*l) * f64::from(*w)).sum();
        (loss, weights.iter().map(|weight| -f64::from(*weight)).collect(), ())
    })?;
    Ok(update)
}
