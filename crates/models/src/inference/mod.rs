//! Forward passes with frozen weights, as fast as the processor allows, on the CPU.
//!
//! [`InferenceModel`] holds the weights of a decoder once, packed for products with few rows or
//! many. A [`KvCache`] holds the keys and values of one sequence; a pass computes only what is new
//! and attends to the rest. What a pass gives for a sequence does not depend on the others that it
//! takes along.

mod build;
mod cache;
mod check;
mod embedding;
mod model;
mod pass;
mod row;
mod seq2seq;

pub use cache::KvCache;
pub use model::InferenceModel;
pub use row::CachedRow;
pub use seq2seq::{DecoderCache, DecoderRow, EncodedSource, Seq2SeqModel};
