use crate::diffusion::{CanvasBatch, Denoiser};
use afterthought_models::{Batch, Decoder};

/// Why a forward pass of a [`Decoder`] failed.
#[derive(Debug, thiserror::Error)]
pub enum DecoderError {
    /// The canvas does not fit the model.
    #[error(transparent)]
    Model(#[from] afterthought_models::Error),
    /// The logits could not be read back from the device.
    #[error("cannot read logits from the device: {0}")]
    Device(String),
}

impl Denoiser for Decoder {
    type Error = DecoderError;

    fn vocab_size(&self) -> usize {
        self.config().vocab_size
    }

    fn logits(&self, batch: &CanvasBatch<'_>, positions: &[u32]) -> Result<Vec<f32>, DecoderError> {
        let batch = Batch::new(batch.ids, batch.lengths)?;
        let logits = self.logits_at(&batch, positions.into())?;
        logits.into_data().try_to_vec().map_err(|error| DecoderError::Device(format!("{error:?}")))
    }
}
