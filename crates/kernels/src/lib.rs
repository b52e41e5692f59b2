//! How does one operation run fast, and what is its gradient?
//!
//! The operations that dominate training and decoding of a transformer: linear layers, RMSNorm,
//! gated activations, self- and cross-attention, embedding look-up, the output head fused with the
//! log-softmax of its targets, and the AdamW update. [`functions`] is the entrance. On the CPU backend each is one
//! fused, threaded, vectorised kernel (`cpu/`) with a hand-written backward pass (`autodiff`); on
//! every other device it is [`composed`] of ordinary tensor operations.
//!
//! Products multiply in f32 or, on processors with AMX or AVX-512-BF16, in bf16 ([`Precision`]). Results do not
//! depend on the number of threads.
#![allow(unsafe_code)]

mod activation;
mod attention;
mod autodiff;
pub mod composed;
mod cpu;
mod flex;
pub mod functions;
pub mod inference;
mod instructions;
mod low_rank;
mod mapped_file;
mod ops;
mod optimizer;
mod precision;
mod storage;

pub use activation::Activation;
pub use attention::{AttentionSpec, CrossAttentionSpec, HeadLayout, Rotary, RotaryTable};
pub use functions::{
    activate, attention, biased_attention, bucketed_bias, cross_attention, embedding, gated,
    has_fused_kernels, linear, linear_add, linear_pair, linear_triple, low_rank_add, qk_norm,
    rms_norm, swiglu, token_log_prob,
};
pub use instructions::{Instructions, instructions};
pub use low_rank::{DropoutMask, LowRankGradients, LowRankKept, LowRankSpec};
pub use mapped_file::MappedFile;
pub use ops::{KernelGradients, KernelOps};
pub use optimizer::{AdamWStep, adamw, sum_of_squares};
pub use precision::{Bf16Unsupported, Precision, precision, set_precision};
pub use storage::{narrowed, widened};
