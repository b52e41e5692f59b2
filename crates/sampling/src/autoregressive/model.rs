/// New tokens of one sequence.
#[derive(Debug)]
pub struct Extension<'a, C> {
    /// What the model keeps of the tokens before them.
    pub cache: &'a mut C,
    /// At least one.
    pub tokens: &'a [u32],
}

/// A causal language model as the sampler sees it.
///
/// The logits of a row must not depend on the other rows of a pass.
pub trait CausalModel {
    /// What the model keeps of a sequence.
    type Cache;
    /// What can go wrong in a forward pass.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Number of logits a position.
    fn vocab_size(&self) -> usize;

    /// Most tokens of a sequence.
    fn max_positions(&self) -> usize;

    /// The cache of an empty sequence with room for `capacity` tokens.
    fn new_cache(&self, capacity: usize) -> Self::Cache;

    /// A second cache of the same sequence, which then goes its own way.
    fn fork(&self, cache: &mut Self::Cache) -> Self::Cache;

    /// Appends tokens to several sequences in one forward pass. `logits` becomes `rows` x
    /// `vocab_size()`, row-major: what follows the last token of each row. `-inf` means "never";
    /// NaN and `+inf` are errors.
    ///
    /// # Errors
    /// Whatever the model reports; the sampler passes it on.
    fn extend(
        &self,
        rows: &mut [Extension<'_, Self::Cache>],
        logits: &mut Vec<f32>,
    ) -> Result<(), Self::Error>;
}
