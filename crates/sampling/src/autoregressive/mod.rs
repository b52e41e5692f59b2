//! Decoding with causal language models, one token at a time.
//!
//! Each prompt goes through the model once; its samples start from forks of the same cache. Rows
//! that finish leave the batch at once and waiting ones take their places.

mod choose;
mod completion;
mod error;
mod event;
mod generate;
mod key;
mod model;
mod params;
mod row;

pub use choose::{Chosen, choose};
pub use completion::{Completion, Cost, FinishReason, Generation};
pub use error::{GenerateError, ParamsError};
pub use event::{FinishedRow, Hooks, PassEvent};
pub use generate::{generate, generate_with};
pub use key::SeedKey;
pub use model::{CausalModel, Extension};
pub use params::AutoregressiveParams;
pub use row::Prompt;
