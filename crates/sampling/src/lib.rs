//! From logits to sequences.
//!
//! [`diffusion`] decodes with masked-diffusion language models: a canvas of mask tokens is filled
//! block by block, the most confident predictions first. The code works on plain slices and sees
//! the model only through the [`Denoiser`](diffusion::Denoiser) trait; `decoder.rs` is the one
//! place where a model's tensors become logits on the host.
//!
//! A row's result depends on its prompt, its sample id and the parameters, never on the other rows
//! of the call, their order, their number or the number of threads.

mod decoder;
mod error;

pub mod diffusion;

pub use decoder::DecoderError;
pub use error::{Interrupted, SampleError};
