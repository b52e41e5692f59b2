//! Losses as pure functions on plain numbers.
//!
//! Every objective here depends on the model only through log-probabilities of tokens. Each
//! returns the coefficient of every log-probability in the gradient, so that the loop needs one
//! differentiable operation: a weighted sum of log-probabilities.

mod advantage;
mod kl;
mod mdlm;
mod normalise;
mod policy;

pub use advantage::{Advantages, centred};
pub use kl::{Kl, KlEstimate};
pub use mdlm::{BlockMasks, Example, MaskedBatch, MdlmOptions, Noise, TimeWeight, mask_batch};
pub use normalise::Normalisation;
pub use policy::{PolicyLoss, PolicyOptions, TokenTerm, policy_loss};
