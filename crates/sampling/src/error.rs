use crate::diffusion::{BadLogits, ParamsError};

/// The caller asked to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("interrupted: {finished} of {total} sequences were finished")]
pub struct Interrupted {
    /// Sequences that were complete.
    pub finished: usize,
    /// Sequences that were asked for.
    pub total: usize,
}

/// Why no sequences came back. `E` is the model's own error.
#[derive(Debug, thiserror::Error)]
pub enum SampleError<E: std::error::Error + 'static> {
    /// The parameters or prompts are wrong; nothing was run.
    #[error(transparent)]
    Params(#[from] ParamsError),
    /// The model failed.
    #[error("the model failed in forward pass {pass}")]
    Denoiser {
        /// Number of the forward pass, from 0.
        pass: usize,
        /// The model's error.
        source: E,
    },
    /// The model returned a buffer of another size than was asked for.
    #[error("the model returned {actual} logits instead of {positions} positions x {vocab_size}")]
    LogitsLength {
        /// Positions that were asked for.
        positions: usize,
        /// Logits a position.
        vocab_size: usize,
        /// What came back.
        actual: usize,
    },
    /// The model returned logits that are not a distribution.
    #[error("row {row}, completion position {position}, denoising step {step}")]
    BadLogits {
        /// Index of the prompt.
        row: usize,
        /// Position in the completion, from 0.
        position: usize,
        /// The row's denoising step, from 0.
        step: u32,
        /// What is wrong with them.
        source: BadLogits,
    },
    /// The caller asked to stop.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}
