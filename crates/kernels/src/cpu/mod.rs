//! The operations on contiguous slices of f32 (of bf16 where a frozen weight is stored so),
//! threaded and vectorised.

pub(crate) mod activation;
pub(crate) mod adamw;
pub(crate) mod attention;
pub(crate) mod buffer;
pub(crate) mod embedding;
pub(crate) mod gated;
pub(crate) mod lanes;
pub(crate) mod linear;
pub(crate) mod low_rank;
mod partial;
pub(crate) mod qk_norm;
pub(crate) mod rms_norm;
pub(crate) mod rope;
pub(crate) mod simd;
pub(crate) mod tiled;
pub(crate) mod token_log_prob;
pub(crate) mod weight;
