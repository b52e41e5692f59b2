//! How does one operation run fast, and what is its gradient?
//!
//! The operations that dominate training and decoding of a transformer: linear layers, RMSNorm,
//! SwiGLU, rotary attention, embedding look-up, the output head fused with the log-softmax of its
//! targets, and the AdamW update. [`functions`] is the entrance. On the CPU backend each is one
//! fused, threaded, vectorised kernel (`cpu/`) with a hand-written backward pass (`autodiff`); on
//! every other device it is [`composed`] of ordinary tensor operations.
//!
//! Products multiply in f32 or, on processors with AMX or AVX-512-BF16, in bf16 ([`Precision`]). Results do not
//! depend on the number of threads.
#![allow(unsafe_code)]

mod attention;
mod autodiff;
pub mod composed;
mod cpu;
mod flex;
pub mod functions;
pub mod inference;
mod ops;
mod optimizer;
mod precision;

pub use attention::{AttentionSpec, HeadLayout, RotaryTable};
pub use functions::{
    attention, biased_attention, embedding, has_fused_kernels, linear, linear_add, linear_pair,
    linear_triple, qk_norm, rms_norm, swiglu, token_log_prob,
};
pub use ops::{KernelGradients, KernelOps};
pub use optimizer::{AdamWStep, adamw, sum_of_squares};
pub use precision::{Bf16Unsupported, Precision, precision, set_precision};
