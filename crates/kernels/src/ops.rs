//! The backend traits: what a backend provides, and what its gradients need.

use crate::attention::AttentionSpec;
use crate::optimizer::AdamWStep;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, backend_extension};
use std::sync::Arc;

/// Fused operations. Activations are rank 2 (`positions x width`), weights are `[out, in]` as in
/// Hugging Face files; ids, targets and masks are host data.
///
/// Implemented for the CPU backend and, with hand-written backward passes, for autodiff over any
/// backend that has [`KernelGradients`]. Other backends use [`crate::composed`]; the functions of
/// [`crate::functions`] choose.
#[backend_extension(Flex, Autodiff)]
pub trait KernelOps: Backend {
    /// `x W^T`.
    fn fused_linear(x: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self>;

    /// `x / sqrt(mean(x^2) + eps) * weight` over the last dimension.
    fn fused_rms_norm(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        eps: f32,
    ) -> FloatTensor<Self>;

    /// `silu(gate) * up`.
    fn fused_swiglu(gate: FloatTensor<Self>, up: FloatTensor<Self>) -> FloatTensor<Self>;

    /// Rows of `table` by id.
    fn fused_embedding(table: FloatTensor<Self>, ids: Arc<[u32]>) -> FloatTensor<Self>;

    /// Rotary softmax attention over a batch of `spec.lengths.len()` rows.
    fn fused_attention(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        spec: AttentionSpec,
    ) -> FloatTensor<Self>;

    /// `log softmax(hidden head^T)[target]`, one value a row, over the tokens not excluded.
    fn fused_token_log_prob(
        hidden: FloatTensor<Self>,
        head: FloatTensor<Self>,
        targets: Arc<[u32]>,
        excluded: Arc<[u32]>,
    ) -> FloatTensor<Self>;
}

/// Backward passes of [`KernelOps`] and operations that never need one.
pub trait KernelGradients: KernelOps {
    /// Gradient of [`KernelOps::fused_linear`] for `x`.
    fn fused_linear_backward_input(
        weight: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> FloatTensor<Self>;

    /// Gradient of [`KernelOps::fused_linear`] for `weight`.
    fn fused_linear_backward_weight(
        x: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> FloatTensor<Self>;

    /// Gradients of [`KernelOps::fused_rms_norm`] for `x` and, if wanted, `weight`.
    fn fused_rms_norm_backward(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        eps: f32,
        want_weight: bool,
    ) -> (FloatTensor<Self>, Option<FloatTensor<Self>>);

    /// Gradients of [`KernelOps::fused_swiglu`] for `gate` and `up`.
    fn fused_swiglu_backward(
        gate: FloatTensor<Self>,
        up: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);

    /// Gradient of [`KernelOps::fused_embedding`] for a table of `rows` rows.
    fn fused_embedding_backward(
        rows: usize,
        ids: Arc<[u32]>,
        grad: FloatTensor<Self>,
    ) -> FloatTensor<Self>;

    /// Gradients of [`KernelOps::fused_attention`] for queries, keys and values.
    fn fused_attention_backward(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        spec: AttentionSpec,
    ) -> [FloatTensor<Self>; 3];

    /// [`KernelOps::fused_token_log_prob`] together with the log-sum-exp of each row.
    fn fused_token_log_prob_with_sums(
        hidden: FloatTensor<Self>,
        head: FloatTensor<Self>,
        targets: Arc<[u32]>,
        excluded: Arc<[u32]>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);

    /// Gradients of [`KernelOps::fused_token_log_prob`] for `hidden` and, if wanted, `head`.
    fn fused_token_log_prob_backward(
        hidden: FloatTensor<Self>,
        head: FloatTensor<Self>,
        targets: Arc<[u32]>,
        excluded: Arc<[u32]>,
        sums: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        want_head: bool,
    ) -> (FloatTensor<Self>, Option<FloatTensor<Self>>);

    /// One AdamW update of a parameter and its moments; in place where nothing else holds them.
    fn adamw(
        parameter: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        moments: [FloatTensor<Self>; 2],
        step: AdamWStep,
    ) -> (FloatTensor<Self>, [FloatTensor<Self>; 2]);

    /// Sum of squares in f64, in a fixed order.
    fn sum_of_squares(x: FloatTensor<Self>) -> f64;
}
