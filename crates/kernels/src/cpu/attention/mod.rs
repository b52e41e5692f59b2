//! Softmax attention with grouped queries and key padding, and its gradients: of positions to those
//! of the same batch (with rotary embedding or a bias, causal or bidirectional), or to those of
//! another. Queries go by in blocks; scores are recomputed in the backward pass, so nothing of size
//! positions x positions is kept.
//!
//! `own` and `cross` hold the entrances, `row` is one row of a batch, `blocks` its products and
//! softmax.

mod blocks;
mod cross;
mod own;
mod row;
mod softmax;

pub(crate) use cross::{backward as cross_backward, forward as cross_forward};
pub(crate) use own::{backward, forward};
pub(crate) use softmax::add_bias;
