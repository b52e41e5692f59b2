//! Forward-only operations on slices, for engines that generate text.
//!
//! Training calls operations with tensors and weights that change at every step. Generation calls
//! them thousands of times with the same weights and a few rows: here weights are packed once
//! ([`PackedLinear`]), keys and values stay where they are ([`KvBlocks`]), and callers keep their
//! buffers.
//!
//! The result for a row is a function of that row alone, to the last bit: neither the other rows
//! of a call nor the number of threads changes the order of any sum.

mod attention;
mod epilogue;
mod kv_blocks;
mod micro;
mod packed_linear;
mod panels;
mod parallel;
mod relative_bias;
mod stored;
mod tiles;
mod vector;

pub use attention::{CachedAttention, CachedQueries, cached_attention};
pub use kv_blocks::{KvBlocks, KvGeometry};
pub use packed_linear::{Epilogue, Operand, PackedLinear};
pub use relative_bias::RelativeBias;
pub use stored::StoredWeight;
pub use vector::{largest, normalise_heads, rms_norm_rows, rotate, sums_of_exp};
