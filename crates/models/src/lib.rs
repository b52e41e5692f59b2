//! Which logits does this model give, and in which files does it live?
//!
//! [`Decoder`] is the one parameterised transformer: causal or bidirectional, grouped-query
//! attention, optional query/key norms, biases and tied head are settings of [`DecoderConfig`],
//! not classes. [`EncoderDecoder`] is the other architecture, that of T5. [`inference`] runs both
//! with caches and packed weights, for generation. [`family`] knows what published models call
//! their settings and tensors, and [`hub`] reads and writes their directories.

mod batch;
mod config;
mod decoder;
mod dropout;
mod encoder_decoder;
mod error;
pub mod family;
pub mod hub;
pub mod inference;
mod layer;
mod linear;
mod low_rank;
mod network;
mod parameter;
mod rope;
mod rotary;
mod tensors;
mod weights;

pub use batch::Batch;
pub use config::{DecoderConfig, SlidingWindow};
pub use decoder::{Decoder, WeightSource};
pub use dropout::DropoutKey;
pub use encoder_decoder::{Encoded, EncoderDecoder, EncoderDecoderConfig};
pub use error::Error;
pub use linear::Linear;
pub use low_rank::LowRank;
pub use network::{Network, Positions};
pub use parameter::{Parameter, ParameterVisitor};
pub use rope::{Llama3, RopeScaling, Yarn};
pub use tensors::NamedShape;
pub use weights::WeightValues;
