//! From logits to sequences.
//!
//! [`diffusion`] decodes with masked-diffusion language models: a canvas of mask tokens is filled
//! block by block, the most confident predictions first. [`autoregressive`] decodes with causal
//! ones, token by token. The code works on plain slices and sees models only through the
//! [`Denoiser`](diffusion::Denoiser), [`CachedDenoiser`](diffusion::CachedDenoiser) and
//! [`CausalModel`](autoregressive::CausalModel) traits; `decoder.rs`, `inference.rs` and
//! `seq2seq.rs` implement them for the models of this workspace, [`PreparedDecoder`] chooses between
//! the first two.
//!
//! A row's result depends on its prompt, its sample id and the parameters, never on the other rows
//! of the call, their order, their number or the number of threads.

mod decoder;
mod error;
mod inference;
mod prepared;
mod seq2seq;

pub mod autoregressive;
pub mod diffusion;

pub use decoder::DecoderError;
pub use error::{Interrupted, SampleError};
pub use prepared::PreparedDecoder;
pub use seq2seq::Seq2SeqCache;
