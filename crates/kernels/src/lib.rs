//! How does one operation run fast, and what is its gradient?
//!
//! The operations that dominate training and decoding of a transformer: linear layers, RMSNorm,
//! SwiGLU, rotary attention, embedding look-up, the output head fused with the log-softmax of its
//! targets, and the AdamW update. [`functions`] is the entrance. On the CPU backend each is one
//! fused, threaded, vectorised kernel (`cpu/`) with a hand-written backward pass (`autodiff`); on
//! every other device it is [`composed`] of ordinary tensor operations.
//!
//! Linear layers multiply in f32 or, on processors with AMX, in bf16 ([`Precision`]). Results do not
//! depend on the number of threads.
#![allow(unsafe_code)]

mod attention;
mod autodiff;
pub mod composed;
mod cpu;
mod flex;
pub mod functions;
mod ops;
mod optimizer;
mod precision;

pub use attention::{AttentionSpec, RotaryTable};
pub use functions::{
    attention, embedding, has_fused_kernels, linear, rms_norm, swiglu, token_log_prob,
};
pub use ops::{KernelGradients, KernelOps};
pub use optimizer::{AdamWStep, adamw, sum_of_squares};
pub use precision::{Bf16Unsupported, Precision, precision, set_precision};
