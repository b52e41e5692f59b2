//! Which logits does this model give, and in which files does it live?
//!
//! [`Decoder`] is the one parameterised transformer: causal or bidirectional, grouped-query
//! attention, optional query/key norms, biases and tied head are settings of [`DecoderConfig`],
//! not classes. [`inference`] runs it with caches and packed weights, for generation. [`hub`] reads
//! and writes ordinary Hugging Face directories.

mod batch;
mod config;
mod decoder;
mod error;
pub mod hub;
pub mod inference;
mod layer;
mod linear;
mod parameter;

pub use batch::Batch;
pub use config::DecoderConfig;
pub use decoder::{Decoder, WeightSource};
pub use error::Error;
pub use linear::Linear;
pub use parameter::{Parameter, ParameterVisitor};
