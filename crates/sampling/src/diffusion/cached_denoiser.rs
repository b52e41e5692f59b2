use super::denoiser::Denoiser;

/// One row of a forward pass that computes a part of the row and remembers the rest.
#[derive(Debug)]
pub struct CachedCanvas<'a, C> {
    /// The row's keys and values.
    pub cache: &'a mut C,
    /// Position of the first of `ids` in the row's sequence.
    pub start: usize,
    /// The tokens to run, at consecutive positions.
    pub ids: &'a [u32],
    /// Every token of `ids` attends to the positions below this, at least `start + ids.len()`.
    /// Those outside of `ids` have been run before.
    pub visible: usize,
    /// Offsets into `ids` whose logits are asked for, ascending.
    pub wanted: &'a [usize],
}

/// A masked-diffusion model that can keep the keys and values of earlier passes.
pub trait CachedDenoiser: Denoiser {
    /// Keys and values of one row.
    type Cache;

    /// An empty cache for rows of up to `capacity` tokens. It may serve one row after another.
    fn new_cache(&self, capacity: usize) -> Self::Cache;

    /// Whether the prediction for a position comes out one place earlier. Then a pass begins with
    /// the token before the first one whose logits are wanted, if there is one.
    fn shifted(&self) -> bool {
        false
    }

    /// For each row: runs `ids`, puts their keys and values into the cache in place of older ones,
    /// and lets each of `ids` attend to all `visible` positions: by the new keys and values within
    /// `ids`, by those that the cache holds elsewhere. Rows may differ in all their numbers and
    /// must not influence each other. A pass over a whole row is [`Denoiser::logits`] of that row.
    ///
    /// Returns the logits of the wanted offsets row by row, `vocab_size()` each.
    ///
    /// # Errors
    /// Whatever the model reports; the sampler passes it on.
    fn logits_cached(
        &self,
        rows: &mut [CachedCanvas<'_, Self::Cache>],
    ) -> Result<Vec<f32>, Self::Error>;
}
