//! The encoder-decoder of T5 (Raffel et al. 2020): pre-norm blocks without biases, unscaled attention
//! with a learned bias that depends on the distance, cross-attention from decoder to encoder.

mod attention;
mod block;
mod build;
mod config;
mod encoded;
mod model;
mod relative_position;
mod stack;
mod tensors;

pub use config::EncoderDecoderConfig;
pub use encoded::Encoded;
pub use model::EncoderDecoder;
pub(crate) use relative_position::RelativePositions;
