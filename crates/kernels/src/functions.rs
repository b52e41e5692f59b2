//! The operations as functions on tensors: fused where the device has fused code, composed
//! elsewhere.
//!
//! Shapes are checked here, because tensor operations panic: a wrong shape is a bug of the caller,
//! and values from outside (ids, lengths) must have been checked where they entered.

use crate::activation::Activation;
use crate::attention::{AttentionSpec, CrossAttentionSpec, HeadLayout};
use crate::composed;
use crate::low_rank::LowRankSpec;
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

fn check_widths(x: &Tensor<2>, weights: &[Tensor<2>]) {
    for weight in weights {
        assert_eq!(x.dims()[1], weight.dims()[1], "input width and weight width differ");
    }
}

/// `x W^T`: `[n, in]` and `[out, in]` to `[n, out]`.
pub fn linear(x: Tensor<2>, weight: Tensor<2>) -> Tensor<2> {
    check_widths(&x, std::slice::from_ref(&weight));
    if fused(&x) {
        return Tensor::from_dispatch(Dispatch::fused_linear(
            x.into_dispatch(),
            weight.into_dispatch(),
        ));
    }
    composed::linear(x, weight)
}

/// `residual + x W^T`: `[n, in]`, `[out, in]` and `[n, out]` to `[n, out]`.
pub fn linear_add(x: Tensor<2>, weight: Tensor<2>, residual: Tensor<2>) -> Tensor<2> {
    check_widths(&x, std::slice::from_ref(&weight));
    assert_eq!(residual.dims(), [x.dims()[0], weight.dims()[0]], "residual and output differ");
    if fused(&x) {
        return Tensor::from_dispatch(Dispatch::fused_linear_add(
            x.into_dispatch(),
            weight.into_dispatch(),
            residual.into_dispatch(),
        ));
    }
    residual + composed::linear(x, weight)
}

/// `x W_1^T` and `x W_2^T` side by side, `[n, out_1 + out_2]`; the input is read once.
pub fn linear_pair(x: Tensor<2>, weights: [Tensor<2>; 2]) -> Tensor<2> {
    check_widths(&x, &weights);
    if fused(&x) {
        let [first, second] = weights.map(Tensor::into_dispatch);
        return Tensor::from_dispatch(Dispatch::fused_linear_pair(
            x.into_dispatch(),
            first,
            second,
        ));
    }
    composed::linears(x, weights)
}

/// [`linear_pair`] for three weights.
pub fn linear_triple(x: Tensor<2>, weights: [Tensor<2>; 3]) -> Tensor<2> {
    check_widths(&x, &weights);
    if fused(&x) {
        let [first, second, third] = weights.map(Tensor::into_dispatch);
        let output = Dispatch::fused_linear_triple(x.into_dispatch(), first, second, third);
        return Tensor::from_dispatch(output);
    }
    composed::linears(x, weights)
}

/// `y` with `scale * (dropout(x) A^T) B^T` added to its columns `first..first + out`: `[n, total]`,
/// `[n, in]`, `[rank, in]` and `[out, rank]` to `[n, total]`. In f32 whatever the precision.
pub fn low_rank_add(
    y: Tensor<2>,
    x: Tensor<2>,
    factors: [Tensor<2>; 2],
    spec: LowRankSpec,
) -> Tensor<2> {
    let ([rows, total], [rank, inputs], [outputs, b_rank]) =
        (y.dims(), factors[0].dims(), factors[1].dims());
    assert_eq!(x.dims(), [rows, inputs], "input and A");
    assert!(rank > 0 && rank == b_rank, "ranks of A and B");
    assert!(spec.first + outputs <= total, "columns of the output");
    if let Some(mask) = &spec.dropout {
        assert_eq!(mask.shape(), x.dims(), "dropout mask and input");
    }
    if fused(&x) {
        let [a, b] = factors.map(Tensor::into_dispatch);
        let (y, x) = (y.into_dispatch(), x.into_dispatch());
        return Tensor::from_dispatch(Dispatch::fused_low_rank_add(y, x, a, b, spec));
    }
    composed::low_rank_add(y, x, factors, &spec)
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

/// RMSNorm with `norms` (`[head_dim]` each) over each query head and each key head of rows laid out
/// by `layout`; values pass unchanged (Qwen3).
pub fn qk_norm(qkv: Tensor<2>, norms: [Tensor<1>; 2], layout: HeadLayout, eps: f32) -> Tensor<2> {
    assert_eq!(qkv.dims()[1], layout.width(), "row width and heads differ");
    for norm in &norms {
        assert_eq!(norm.dims()[0], layout.head_dim, "norm width and head width differ");
    }
    if fused(&qkv) {
        let [q_norm, k_norm] = norms.map(Tensor::into_dispatch);
        let y = Dispatch::fused_qk_norm(qkv.into_dispatch(), q_norm, k_norm, layout, eps);
        return Tensor::from_dispatch(y);
    }
    composed::qk_norm(qkv, norms, layout, eps)
}

/// `activation(gate) * up` (Shazeer 2020) of rows that hold gate and up side by side: `[n, 2 inner]`
/// to `[n, inner]`.
pub fn gated(gate_up: Tensor<2>, activation: Activation) -> Tensor<2> {
    assert!(gate_up.dims()[1].is_multiple_of(2), "gate and up differ in width");
    if fused(&gate_up) {
        return Tensor::from_dispatch(Dispatch::fused_gated(gate_up.into_dispatch(), activation));
    }
    composed::gated(gate_up, activation)
}

/// [`gated`] with SiLU.
pub fn swiglu(gate_up: Tensor<2>) -> Tensor<2> {
    gated(gate_up, Activation::Silu)
}

/// The activation of each value: one pass over memory, composed everywhere.
pub fn activate(x: Tensor<2>, activation: Activation) -> Tensor<2> {
    composed::activate(x, activation)
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

/// The common width of the rows of a batch, after checking that it fits `spec`.
fn check_attention(qkv: &Tensor<2>, spec: &AttentionSpec) -> usize {
    let ([positions, row_width], rows) = (qkv.dims(), spec.lengths.len());
    assert!(
        rows > 0 && positions > 0 && positions.is_multiple_of(rows),
        "an empty or ragged batch"
    );
    assert_eq!(row_width, spec.layout.width(), "queries, keys and values");
    spec.check(rows, positions / rows);
    positions / rows
}

/// Softmax attention over a batch of `spec.lengths.len()` rows of equal width.
///
/// `qkv` is `[rows * width, spec.layout.width()]`; queries and keys are rotated here. Returns
/// `[rows * width, heads * head_dim]`.
pub fn attention(qkv: Tensor<2>, spec: AttentionSpec) -> Tensor<2> {
    check_attention(&qkv, &spec);
    if fused(&qkv) {
        return Tensor::from_dispatch(Dispatch::fused_attention(qkv.into_dispatch(), spec));
    }
    composed::attention(qkv, None, &spec)
}

/// [`attention`] with a bias that is added to the scaled scores, the same for every row of the batch
/// (Raffel et al. 2020, section 2.1): `[heads * width, width]`, one row for each head and query.
pub fn biased_attention(qkv: Tensor<2>, bias: Tensor<2>, spec: AttentionSpec) -> Tensor<2> {
    let width = check_attention(&qkv, &spec);
    assert_eq!(bias.dims(), [spec.layout.heads * width, width], "one bias a head, query and key");
    if fused(&qkv) {
        let (qkv, bias) = (qkv.into_dispatch(), bias.into_dispatch());
        return Tensor::from_dispatch(Dispatch::fused_biased_attention(qkv, bias, spec));
    }
    composed::attention(qkv, Some(bias), &spec)
}

/// The bias of [`biased_attention`] from a table of learned values, `[buckets, heads]`: `buckets`
/// names the row of the table for each query and key, `width x width` of them, row-major.
///
/// # Panics
/// If the number of buckets is not a square, or one is not a row of the table.
pub fn bucketed_bias(table: Tensor<2>, buckets: Arc<[u32]>) -> Tensor<2> {
    let (heads, width) = (table.dims()[1], buckets.len().isqrt());
    assert_eq!(width * width, buckets.len(), "one bucket a query and key");
    embedding(table, buckets).transpose().reshape([heads * width, width])
}

/// Softmax attention of the queries of one batch to the keys and values of another with the same
/// rows: from a decoder to an encoder.
///
/// `q` is `[rows * width, heads * head_dim]`, `kv` is `[rows * key_width, 2 * kv_heads * head_dim]`,
/// keys before values. Returns the shape of `q`.
pub fn cross_attention(q: Tensor<2>, kv: Tensor<2>, spec: CrossAttentionSpec) -> Tensor<2> {
    let rows = spec.lengths.len();
    let [queries, keys] = [&q, &kv].map(|tensor| tensor.dims()[0]);
    for positions in [queries, keys] {
        assert!(rows > 0 && positions > 0 && positions.is_multiple_of(rows), "ragged batch");
    }
    assert_eq!(q.dims()[1], spec.layout.keys(), "queries");
    assert_eq!(kv.dims()[1], spec.layout.keys_values(), "keys and values");
    spec.check(queries / rows, keys / rows);
    if fused(&q) {
        let (q, kv) = (q.into_dispatch(), kv.into_dispatch());
        return Tensor::from_dispatch(Dispatch::fused_cross_attention(q, kv, spec));
    }
    composed::cross_attention(q, kv, &spec)
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
