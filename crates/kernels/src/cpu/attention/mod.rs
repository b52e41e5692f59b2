//! Softmax attention with rotary embedding, grouped queries, causal or bidirectional masking and
//! key padding, and its gradients. Queries go by in blocks; scores are recomputed in the backward
//! pass, so nothing of size positions x positions is kept.
//!
//! `row` holds the entrances and what both precisions share, `single` multiplies in f32, `half` in
//! bf16.

mod half;
mod row;
mod single;
mod softmax;

pub(crate) use row::{backward, forward};
