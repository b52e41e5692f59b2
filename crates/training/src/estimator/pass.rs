use crate::Error;
use afterthought_models::{Batch, Decoder, DropoutKey};
use burn::tensor::Tensor;
use std::sync::Arc;

/// A token whose log-probability is read from a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scored {
    /// Column of the pass's canvas.
    pub column: usize,
    /// Token to score there.
    pub token: u32,
}

/// One canvas to run through the model, and what to score on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pass {
    /// Prompt and completion with masks in place.
    pub canvas: Vec<u32>,
    /// Tokens to score, ascending columns.
    pub scored: Vec<Scored>,
}

/// Runs passes as one batch. Returns the log-probabilities of all scored tokens, pass by pass.
///
/// # Errors
/// Those of [`Decoder::log_probs_at`]; [`Error::Empty`] if nothing is scored.
pub fn run_passes(decoder: &Decoder, passes: &[Pass]) -> Result<Tensor<1>, Error> {
    run_passes_dropping(decoder, passes, None)
}

/// [`run_passes`] with the dropout of adapters, if there is a key.
pub(crate) fn run_passes_dropping(
    decoder: &Decoder,
    passes: &[Pass],
    dropout: Option<DropoutKey>,
) -> Result<Tensor<1>, Error> {
    let width = passes.iter().map(|pass| pass.canvas.len()).max().unwrap_or(0);
    let mut ids = Vec::with_capacity(passes.len() * width);
    let (mut positions, mut targets) = (Vec::new(), Vec::new());
    for (row, pass) in passes.iter().enumerate() {
        ids.extend_from_slice(&pass.canvas);
        // Padding is never attended to, so any token does.
        ids.resize((row + 1) * width, 0);
        for scored in &pass.scored {
            positions.push((row * width + scored.column) as u32);
            targets.push(scored.token);
        }
    }
    if targets.is_empty() {
        return Err(Error::Empty("scored tokens"));
    }
    let lengths: Arc<[usize]> = passes.iter().map(|pass| pass.canvas.len()).collect();
    let batch = Batch::new(ids, lengths)?;
    let batch = match dropout {
        Some(key) => batch.with_dropout(key),
        None => batch,
    };
    Ok(decoder.log_probs_at(&batch, positions.into(), targets.into())?)
}

/// Log-probabilities as numbers, at most `max_rows` passes at a time.
///
/// # Errors
/// Those of [`run_passes`]; [`Error::Device`].
pub fn log_probs(decoder: &Decoder, passes: &[Pass], max_rows: usize) -> Result<Vec<f32>, Error> {
    let mut values = Vec::new();
    for chunk in passes.chunks(max_rows.max(1)) {
        values.extend(to_host(run_passes(decoder, chunk)?)?);
    }
    Ok(values)
}

/// Reads a tensor back.
pub(crate) fn to_host(tensor: Tensor<1>) -> Result<Vec<f32>, Error> {
    tensor.into_data().try_to_vec().map_err(|error| Error::Device(format!("{error:?}")))
}
