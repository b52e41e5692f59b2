use crate::Interrupted;
use crate::diffusion::BadLogits;

/// What is wrong with the parameters or prompts.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are the quantities that the messages name")]
pub enum ParamsError {
    /// A length or count is zero.
    #[error("{name} is 0, expected at least 1")]
    Zero { name: &'static str },
    /// A temperature is negative, infinite or NaN.
    #[error("temperature is {value}, expected a finite number of at least 0")]
    Temperature { value: f64 },
    /// A share of the probability that is not one.
    #[error("top_p is {value}, expected more than 0 and at most 1")]
    TopP { value: f64 },
    /// The model has no such id.
    #[error("{name}: id {id} is outside of the vocabulary of {vocab_size}")]
    OutOfVocabulary { name: String, id: u32, vocab_size: usize },
    /// A prompt has no token.
    #[error("prompt {prompt} is empty")]
    EmptyPrompt { prompt: usize },
    /// A prompt leaves no room for the completion.
    #[error(
        "prompt {prompt} of {tokens} tokens and {max_new_tokens} new ones exceed the model's \
         {max_positions} positions"
    )]
    TooLong { prompt: usize, tokens: usize, max_new_tokens: usize, max_positions: usize },
}

/// Why no completions came back. `E` is the model's own error.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError<E: std::error::Error + 'static> {
    /// The parameters or prompts are wrong; nothing was run.
    #[error(transparent)]
    Params(#[from] ParamsError),
    /// The model failed.
    #[error("the model failed in forward pass {pass}")]
    Model {
        /// Number of the forward pass, from 0.
        pass: usize,
        /// The model's error.
        source: E,
    },
    /// The model returned a buffer of another size than was asked for.
    #[error("the model returned {actual} logits instead of {rows} rows x {vocab_size}")]
    LogitsLength {
        /// Rows of the pass.
        rows: usize,
        /// Logits a row.
        vocab_size: usize,
        /// What came back.
        actual: usize,
    },
    /// The model returned logits that are not a distribution.
    #[error("prompt {prompt}, sample {sample}, completion position {position}")]
    BadLogits {
        /// Index of the prompt.
        prompt: usize,
        /// Index among the samples of the prompt.
        sample: usize,
        /// Position in the completion, from 0.
        position: usize,
        /// What is wrong with them.
        source: BadLogits,
    },
    /// The caller asked to stop.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}
