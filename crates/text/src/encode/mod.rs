//! From rows to token ids with a loss mask.

mod encoded;
mod encoder;
mod pieces;

pub use encoded::{Encoded, Warning};
pub use encoder::{Encoder, SpecialInContent};
