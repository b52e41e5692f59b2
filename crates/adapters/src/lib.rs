//! What wraps a linear layer of a model, and in which files does it live?
//!
//! A [`LoraConfig`] says which layers of a model get a low-rank adapter and of what size;
//! [`attach_new`] gives them one and freezes everything else. [`peft`] reads and writes the
//! directories of the PEFT library; [`merge()`] turns adapter and base into one plain model.
//! [`svd()`] decomposes a weight into its singular values and vectors, checked against it.
//! Nothing is passed over in silence: a target without a layer, a tensor without a use, a setting
//! without support and a base other than the one an adapter was trained on are errors.

mod adaptable;
mod base_hash;
mod config;
mod error;
mod init;
mod lora;
mod merge;
mod nearest;
mod pattern;
pub mod peft;
mod svd;
mod targets;

pub use adaptable::Adaptable;
pub use base_hash::base_hash;
pub use config::{LoraConfig, Size};
pub use error::Error;
pub use init::Init;
pub use lora::{attach_new, is_adapter_weight};
pub use merge::merge;
pub use svd::{Svd, SvdError, SvdMethod, svd};
pub use targets::{Modules, Targets};
