use crate::diffusion::{
    CacheMode, DiffusionParams, Rollout, SampleKey, StepEvent, generate_cached_with, generate_with,
};
use crate::{DecoderError, SampleError};
use afterthought_models::Decoder;
use afterthought_models::inference::InferenceModel;
use burn::tensor::Device;

/// A decoder with its weights as they are now, ready for the passes of a cache mode.
#[derive(Debug)]
pub enum PreparedDecoder<'a> {
    /// Weights packed once, with keys and values kept between passes; on the CPU.
    Packed(Box<InferenceModel>),
    /// The decoder itself, whole rows only: faster for those, and for any device.
    Tensors(&'a Decoder),
    /// The same, of whoever has no other use for the decoder.
    Owned(Box<Decoder>),
}

impl<'a> PreparedDecoder<'a> {
    /// Packs the weights of a decoder on the CPU if `cache` needs it. On another device a cached
    /// mode is refused when decoding begins.
    ///
    /// # Errors
    /// [`afterthought_models::Error`] if the weights cannot be read.
    pub fn new(decoder: &'a Decoder, cache: CacheMode) -> Result<Self, afterthought_models::Error> {
        match cache != CacheMode::Exact && decoder.device() == Device::flex() {
            true => Ok(Self::Packed(Box::new(InferenceModel::from_decoder(decoder)?))),
            false => Ok(Self::Tensors(decoder)),
        }
    }

    /// [`generate_cached_with`] by the packed weights, [`generate_with`] by tensors.
    ///
    /// # Errors
    /// Theirs.
    pub fn generate_with(
        &self,
        prompts: &[Vec<u32>],
        params: &DiffusionParams,
        key: SampleKey<'_>,
        on_step: &mut dyn FnMut(&StepEvent<'_>),
        interrupt: &dyn Fn() -> bool,
    ) -> Result<Vec<Rollout>, SampleError<DecoderError>> {
        match self {
            Self::Packed(model) => {
                generate_cached_with(&**model, prompts, params, key, on_step, interrupt)
            }
            Self::Tensors(decoder) => {
                generate_with(*decoder, prompts, params, key, on_step, interrupt)
            }
            Self::Owned(decoder) => {
                generate_with(&**decoder, prompts, params, key, on_step, interrupt)
            }
        }
    }
}
