use afterthought_sampling::{DecoderError, SampleError};

/// What can go wrong in training.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The model refused a batch.
    #[error(transparent)]
    Model(#[from] afterthought_models::Error),
    /// Decoding failed or was interrupted.
    #[error(transparent)]
    Sample(#[from] SampleError<DecoderError>),
    /// Text could not be turned into tokens or back.
    #[error(transparent)]
    Text(#[from] afterthought_text::Error),
    /// A setting is out of range.
    #[error("{key} {problem}")]
    Setting {
        /// Name of the setting.
        key: &'static str,
        /// Value found and what was expected.
        problem: String,
    },
    /// An example has more tokens than its window.
    #[error("example {index}: {what} has {found} tokens, the window holds {limit}")]
    TooLong {
        /// Index of the example in its data set.
        index: usize,
        /// "prompt" or "completion".
        what: &'static str,
        /// Tokens found.
        found: usize,
        /// Tokens allowed.
        limit: usize,
    },
    /// There is nothing to train on.
    #[error("no {0} to train on")]
    Empty(&'static str),
    /// A loss, gradient, log-probability or reward is not finite; the step was not taken.
    #[error("{what} is {value} at step {step}; the step was not taken")]
    NonFinite {
        /// What is not finite.
        what: &'static str,
        /// Its value.
        value: f64,
        /// The optimiser step.
        step: usize,
    },
    /// A saved state is not one of this model.
    #[error("the saved {file}: {problem}")]
    State {
        /// "weights" or "optimizer".
        file: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// A value could not be read back from the device.
    #[error("cannot read from the device: {0}")]
    Device(String),
}
