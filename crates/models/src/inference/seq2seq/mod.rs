//! Encoder-decoders with frozen weights: a source goes through the encoder once, and its keys and
//! values for the decoder's cross-attention are computed once, however many targets are decoded
//! from it.

mod activations;
mod build;
mod cache;
mod check;
mod decode;
mod encode;
mod layer;
mod model;

pub use cache::{DecoderCache, DecoderRow, EncodedSource};
pub use model::Seq2SeqModel;
