//! Directories of the PEFT library: `adapter_config.json` and `adapter_model.safetensors`.
//!
//! [`load`] puts the adapter of a directory on a model, [`save`] writes the adapter of a model; what
//! was loaded is saved again bit by bit. Every setting that would change the result is honoured or
//! refused, every tensor has a layer and every targeted layer its tensors.

mod adapter_config;
mod directory;
mod keys;
mod tensors;

pub use adapter_config::AdapterConfig;
pub use directory::{load, recorded_base, save};
