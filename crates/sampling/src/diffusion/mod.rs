//! Decoding with masked-diffusion language models.
//!
//! Each prompt is followed by `gen_length` mask tokens. The blocks of the completion are filled
//! from left to right; in each denoising step the model predicts every position of the block that
//! is still masked, and the most confident predictions are committed (LLaDA's sampler,
//! arXiv:2502.09992). How many are kept ([`CommitRule`]) follows a fixed schedule
//! ([`transfer_schedule`]), or the confidences themselves (Fast-dLLM, arXiv:2505.22618). A committed
//! token never changes.
//!
//! A pass runs whole rows, or with a [`CachedDenoiser`] and a [`CacheMode`] a part of them.
//!
//! [`generate`] returns [`Rollout`]s, whose traces let an estimator replay the decoding.

mod cache;
mod cached_denoiser;
mod canvas;
mod commit;
mod denoiser;
mod event;
mod guidance;
mod key;
mod params;
mod passes;
mod row;
mod rule;
mod sampler;
mod schedule;
mod select;
mod trace;

pub use cache::CacheMode;
pub use cached_denoiser::{CachedCanvas, CachedDenoiser};
pub use commit::{BadLogits, Choice, choose};
pub use denoiser::{CanvasBatch, Denoiser};
pub use event::{RowView, StepEvent};
pub use guidance::guide;
pub use key::SampleKey;
pub use params::{DiffusionParams, ParamsError, Remasking};
pub use rule::CommitRule;
pub use sampler::{generate, generate_cached, generate_cached_with, generate_with};
pub use schedule::transfer_schedule;
pub use select::{above_threshold, by_factor, most_confident};
pub use trace::{Commit, Rollout};
