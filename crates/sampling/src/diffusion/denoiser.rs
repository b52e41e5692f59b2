/// The sequences of one forward pass: prompt and completion of each row, right-padded.
#[derive(Clone, Copy, Debug)]
pub struct CanvasBatch<'a> {
    /// Token ids, rows x `width`, row-major. What lies beyond a row's length is padding, which the
    /// model must not attend to.
    pub ids: &'a [u32],
    /// Columns, the padding included.
    pub width: usize,
    /// Real length of each row, prompt + completion.
    pub lengths: &'a [usize],
}

/// A masked-diffusion model as the sampler sees it.
///
/// The logits of a row must not depend on the other rows, nor on the width.
pub trait Denoiser {
    /// What can go wrong in a forward pass.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Number of logits a position.
    fn vocab_size(&self) -> usize;

    /// The logits of chosen positions only.
    ///
    /// `positions` are flat indices `row * width + column`, ascending. A model whose prediction
    /// for a position comes out one place earlier undoes this shift itself. Returns
    /// `positions.len()` x `vocab_size()` logits, row-major. `-inf` means "never"; NaN and `+inf`
    /// are errors.
    ///
    /// # Errors
    /// Whatever the model reports; the sampler passes it on.
    fn logits(&self, batch: &CanvasBatch<'_>, positions: &[u32]) -> Result<Vec<f32>, Self::Error>;
}
