//! The operations as functions on tensors: fused where the device has fused code, composed
//! elsewhere.
//!
//! Shapes are checked here, because tensor operations panic: a wrong shape is a bug of the caller,
//! and values from outside (ids, lengths) must have been checked where they entered.

use crate::attention::AttentionSpec;
use crate::composed;
use crate::ops::KernelOps;
use burn::backend::{Dispatch, DispatchDevice};
use burn::tensor::{Device, Tensor};
use std::sync::Arc;

/// Whether `device` runs the fused operations.
pub fn has_fused_kernels(device: &Device) -> bool {
    match device.as_dispatch() {
        DispatchDevice::Flex(_) => true,
        DispatchDevice::Autodiff(inner) => matches!(**inner, DispatchDevice::Flex(_)),
        #[allow(unreachable_patterns)]
        _ => false,
    }
}

pub(crate) fn fused<const D: usize>(x: &Tensor<D>) -> bool {
    has_fused_kernels(&x.device())
}

/// `x W^T`: `[n, in]` and `[out, in]` to `[n, out]`.
pub fn linear(x: Tensor<2>, weight: Tensor<2>) -> Tensor<2> {
    assert_eq!(x.dims()[1], weight.dims()[1], "input width and weight width differ");
    if fused(&x) {
        return Tensor::from_dispatch(Dispatch::fused_linear(
            x.into_dispatch(),
            weight.into_dispatch(),
        ));
    }
    composed::linear(x, weight)
}

/// `x / sqrt(mean(x^2) + eps) * weight` over each row of `x` (Zhang & Sennrich 2019).
pub fn rms_norm(x: Tensor<2>, weight: Tensor<1>, eps: f32) -> Tensor<2> {
    assert_eq!(x.dims()[1], weight.dims()[0], "row width and norm width differ");
    if fused(&x) {
        let y = Dispatch::fused_rms_norm(x.into_dispatch(), weight.into_dispatch(), eps);
        return Tensor::from_dispatch(y);
    }
    composed::rms_norm(x, weight, eps)
}

/// `silu(gate) * up` (Shazeer 2020).
pub fn swiglu(gate: Tensor<2>, up: Tensor<2>) -> Tensor<2> {
    assert_eq!(gate.dims(), up.dims(), "gate and up differ in shape");
    if fused(&gate) {
        return Tensor::from_dispatch(Dispatch::fused_swiglu(
            gate.into_dispatch(),
            up.into_dispatch(),
        ));
    }
    composed::swiglu(gate, up)
}

/// Rows of `table` (`[vocab, width]`) by id.
///
/// # Panics
/// If an id is not below the number of rows.
pub fn embedding(table: Tensor<2>, ids: Arc<[u32]>) -> Tensor<2> {
    let rows = table.dims()[0];
    assert!(ids.iter().all(|id| (*id as usize) < rows), "an id exceeds the table of {rows} rows");
    if fused(&table) {
        return Tensor::from_dispatch(Dispatch::fused_embedding(table.into_dispatch(), ids));
    }
    composed::embedding(table, &ids)
}

/// Softmax attention over a batch of `spec.lengths.len()` rows of equal width.
///
/// `q` is `[rows * width, heads * head_dim]`, `k` and `v` are `[rows * width, kv_heads *
/// head_dim]`; queries and keys are rotated here. Returns the shape of `q`.
pub fn attention(q: Tensor<2>, k: Tensor<2>, v: Tensor<2>, spec: AttentionSpec) -> Tensor<2> {
    let ([positions, q_width], rows) = (q.dims(), spec.lengths.len());
    assert!(
        rows > 0 && positions > 0 && positions.is_multiple_of(rows),
        "an empty or ragged batch"
    );
    assert_eq!(q_width, spec.heads * spec.head_dim, "query width");
    assert_eq!(k.dims(), [positions, spec.kv_heads * spec.head_dim], "key shape");
    assert_eq!(k.dims(), v.dims(), "key and value shapes differ");
    spec.check(rows, positions / rows);
    if fused(&q) {
        let output = Dispatch::fused_attention(
            q.into_dispatch(),
            k.into_dispatch(),
            v.into_dispatch(),
            spec,
        );
        return Tensor::from_dispatch(output);
    }
    composed::attention(q, k, v, &spec)
}

/// Log-probability of one target a row under `softmax(hidden head^T)`, tokens in `excluded` having
/// probability zero: `[n, width]`, `[vocab, width]` and `n` targets to `[n]`. The fused
/// form never holds `n x vocab` values.
///
/// # Panics
/// If a target or an excluded token is not below the vocabulary size, or a target is excluded.
pub fn token_log_prob(
    hidden: Tensor<2>,
    head: Tensor<2>,
    targets: Arc<[u32]>,
    excluded: Arc<[u32]>,
) -> Tensor<1> {
    let ([rows, width], [vocab, head_width]) = (hidden.dims(), head.dims());
    assert_eq!((rows, width), (targets.len(), head_width), "hidden rows and targets, widths");
    assert!(
        targets.iter().chain(excluded.iter()).all(|token| (*token as usize) < vocab),
        "a token exceeds the vocabulary"
    );
    assert!(targets.iter().all(|target| !excluded.contains(target)), "a target is excluded");
    if fused(&hidden) {
        return Tensor::from_dispatch(Dispatch::fused_token_log_prob(
            hidden.into_dispatch(),
            head.into_dispatch(),
            targets,
            excluded,
        ));
    }
    composed::token_log_prob(hidden, head, &targets, &excluded)
}
