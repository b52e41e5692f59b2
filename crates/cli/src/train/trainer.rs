//! What the loop needs of a method.

use afterthought_models::Decoder;
use afterthought_runs::log::Completion;
use afterthought_training::{Learner, Update};
use serde_json::Value;

/// A method of training, by single steps. A step is a function of its number and the learner's
/// state, so that a run can go on from a saved state.
pub(super) trait Trainer {
    /// Takes a step, from 0. `stop` is asked within; a step that it ends leaves the learner as it was.
    ///
    /// # Errors
    /// Those of the step; the learner is then as it was before it.
    fn step(
        &mut self,
        learner: &mut Learner,
        step: u64,
        stop: &dyn Fn() -> bool,
    ) -> anyhow::Result<Step>;

    /// Measures a model on the validation rows.
    ///
    /// # Errors
    /// Those of the measurement, or that `stop` ended it.
    fn validate(&mut self, decoder: &Decoder, stop: &dyn Fn() -> bool) -> anyhow::Result<Measured>;

    /// What a step works on, to be kept where it went wrong.
    fn batch(&self, step: u64) -> Value;
}

/// What a step saw and did.
pub(super) struct Step {
    /// Numbers by the names of TRL's metrics.
    pub(super) scalars: Vec<(String, f64)>,
    /// Tokens that it worked on.
    pub(super) tokens: u64,
    /// What the model wrote.
    pub(super) completions: Vec<Completion>,
}

impl Step {
    /// A supervised step on so many tokens.
    pub(super) fn supervised(update: Update, tokens: u64) -> Self {
        Self {
            scalars: vec![
                scalar("loss", update.loss),
                scalar("grad_norm", update.grad_norm),
                scalar("learning_rate", update.learning_rate),
            ],
            tokens,
            completions: Vec::new(),
        }
    }
}

/// What a validation found.
pub(super) struct Measured {
    /// Higher is better.
    pub(super) metric: f64,
    /// Numbers to log.
    pub(super) scalars: Vec<(String, f64)>,
}

/// A name and a value.
pub(super) fn scalar(name: &str, value: f64) -> (String, f64) {
    (name.to_owned(), value)
}
