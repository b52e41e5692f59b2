use burn::tensor::Tensor;
use std::sync::Arc;

/// What the encoder makes of a batch of sources. Tracked by autodiff if the model was, so that the
/// decoder's loss reaches the encoder.
#[derive(Clone, Debug)]
pub struct Encoded {
    hidden: Tensor<2>,
    lengths: Arc<[usize]>,
}

impl Encoded {
    pub(super) fn new(hidden: Tensor<2>, lengths: Arc<[usize]>) -> Self {
        Self { hidden, lengths }
    }

    /// Hidden states, `[rows * width, d_model]`. Those of padding mean nothing.
    pub fn hidden(&self) -> Tensor<2> {
        self.hidden.clone()
    }

    /// Real length of each source.
    pub fn lengths(&self) -> &Arc<[usize]> {
        &self.lengths
    }

    /// Number of sources.
    pub fn rows(&self) -> usize {
        self.lengths.len()
    }
}
