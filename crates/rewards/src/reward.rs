use crate::{Completion, Error, Outcome};

/// Something that says what completions are worth.
pub trait Reward: Send {
    /// What the recipe and the metrics call it.
    fn name(&self) -> &str;

    /// One outcome a completion, in the order of `batch`, whose ids differ.
    ///
    /// # Errors
    /// The reward as a whole cannot work: a program that cannot be started, ids that are not unique.
    /// Whatever goes wrong for some completions, or for a whole batch that another attempt might
    /// score, is an [`Outcome::Failed`].
    fn score(&mut self, batch: &[Completion<'_>]) -> Result<Vec<Outcome>, Error>;
}
