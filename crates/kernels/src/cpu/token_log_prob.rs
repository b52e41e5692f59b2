//! Output head and log-softmax in one operation: the log-probability of one target a row, without
//! ever holding rows x vocabulary. Excluded tokens have probability zero.

use super::tiled::{Bf16, F32, head as tiled};
use super::weight::Weight;
use crate::precision::{Precision, precision};

/// Every target has a row and a place in the vocabulary: all outputs are written then.
fn check(hidden: &[f32], head: Weight<'_>, targets: &[u32], excluded: &[u32], width: usize) {
    assert_eq!(hidden.len(), targets.len() * width, "hidden states and targets");
    let vocab = head.len() / width;
    let known = |token: &u32| (*token as usize) < vocab;
    assert!(targets.iter().chain(excluded).all(known), "a token exceeds the vocabulary");
}

/// Log-probability of each target and the log-sum-exp of its row.
pub(crate) fn forward(
    hidden: &[f32],
    head: Weight<'_>,
    targets: &[u32],
    excluded: &[u32],
    width: usize,
) -> (Vec<f32>, Vec<f32>) {
    check(hidden, head, targets, excluded, width);
    match precision() {
        Precision::F32 => tiled::forward::<F32>(hidden, head, targets, excluded, width),
        Precision::Bf16 => tiled::forward::<Bf16>(hidden, head, targets, excluded, width),
    }
}

/// Gradients for `hidden` and, when asked for, `head`.
#[allow(clippy::too_many_arguments)]
pub(crate) fn backward(
    hidden: &[f32],
    head: Weight<'_>,
    targets: &[u32],
    excluded: &[u32],
    log_sums: &[f32],
    grad: &[f32],
    width: usize,
    want_head: bool,
) -> (Vec<f32>, Option<Vec<f32>>) {
    check(hidden, head, targets, excluded, width);
    assert!(log_sums.len() == targets.len() && grad.len() == targets.len(), "one value a target");
    let backward = match precision() {
        Precision::F32 => tiled::backward::<F32>,
        Precision::Bf16 => tiled::backward::<Bf16>,
    };
    backward(hidden, head, targets, excluded, log_sums, grad, width, want_head)
}
