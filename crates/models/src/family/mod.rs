//! Whose files are these? One small file a family: what its `config.json` says, in the words of
//! [`DecoderConfig`](crate::DecoderConfig), and back; and how its tensors are called.

mod dream;
mod kind;
mod llada;
mod llama;
mod mistral;
mod names;
mod qwen2;
mod qwen3;
mod rope;
mod settings;
mod sliding;
pub(crate) mod t5;
mod unsupported;

pub use kind::Family;
pub use names::{NameScheme, TensorNames};
pub(crate) use settings::Settings;
