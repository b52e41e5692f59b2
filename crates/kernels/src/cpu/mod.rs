//! The operations on contiguous slices of f32, threaded and vectorised.

pub(crate) mod adamw;
pub(crate) mod attention;
pub(crate) mod bf16;
pub(crate) mod buffer;
pub(crate) mod embedding;
pub(crate) mod linear;
pub(crate) mod matmul;
mod partial;
pub(crate) mod qk_norm;
pub(crate) mod rms_norm;
pub(crate) mod rope;
pub(crate) mod simd;
pub(crate) mod swiglu;
pub(crate) mod token_log_prob;
