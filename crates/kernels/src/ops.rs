//! The backend traits: what a backend provides, and what its gradients need.

use crate::activation::Activation;
use crate::attention::{AttentionSpec, CrossAttentionSpec, HeadLayout};
use crate::low_rank::{LowRankGradients, LowRankKept, LowRankSpec};
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

    /// `residual + x W^T`.
    fn fused_linear_add(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        residual: FloatTensor<Self>,
    ) -> FloatTensor<Self>;

    /// `x W_1^T` and `x W_2^T`, side by side.
    fn fused_linear_pair(
        x: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
    ) -> FloatTensor<Self>;

    /// `x W_1^T`, `x W_2^T` and `x W_3^T`, side by side.
    fn fused_linear_triple(
        x: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        third: FloatTensor<Self>,
    ) -> FloatTensor<Self>;

    /// `y + scale * (x A^T) B^T` on some columns of `y`.
    fn fused_low_rank_add(
        y: FloatTensor<Self>,
        x: FloatTensor<Self>,
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        spec: LowRankSpec,
    ) -> FloatTensor<Self>;

    /// `x / sqrt(mean(x^2) + eps) * weight` over the last dimension.
    fn fused_rms_norm(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        eps: f32,
    ) -> FloatTensor<Self>;

    /// RMSNorm over each query and key head of rows of queries, keys and values.
    fn fused_qk_norm(
        qkv: FloatTensor<Self>,
        q_norm: FloatTensor<Self>,
        k_norm: FloatTensor<Self>,
        layout: HeadLayout,
        eps: f32,
    ) -> FloatTensor<Self>;

    /// `activation(gate) * up`, gate and up side by side in the input.
    fn fused_gated(gate_up: FloatTensor<Self>, activation: Activation) -> FloatTensor<Self>;

    /// Rows of `table` by id.
    fn fused_embedding(table: FloatTensor<Self>, ids: Arc<[u32]>) -> FloatTensor<Self>;

    /// Rotary softmax attention over a batch of `spec.lengths.len()` rows.
    fn fused_attention(qkv: FloatTensor<Self>, spec: AttentionSpec) -> FloatTensor<Self>;

    /// [`Self::fused_attention`] with a bias on the scaled scores.
    fn fused_biased_attention(
        qkv: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        spec: AttentionSpec,
    ) -> FloatTensor<Self>;

    /// Softmax attention of queries to the keys and values, side by side, of other positions.
    fn fused_cross_attention(
        q: FloatTensor<Self>,
        kv: FloatTensor<Self>,
        spec: CrossAttentionSpec,
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
    /// The products of `x` with each weight, side by side, added to `residual` if there is one.
    fn linears(
        x: FloatTensor<Self>,
        weights: &[FloatTensor<Self>],
        residual: Option<FloatTensor<Self>>,
    ) -> FloatTensor<Self>;

    /// Gradient of [`Self::linears`] for `x`.
    fn linears_backward_input(
        weights: &[FloatTensor<Self>],
        grad: FloatTensor<Self>,
    ) -> FloatTensor<Self>;

    /// Gradients of [`Self::linears`] for weights with the given numbers of rows.
    fn linears_backward_weights(
        x: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        outputs: &[usize],
    ) -> Vec<FloatTensor<Self>>;

    /// [`KernelOps::fused_low_rank_add`] together with `x A^T`.
    fn low_rank_add(
        y: FloatTensor<Self>,
        x: FloatTensor<Self>,
        factors: [FloatTensor<Self>; 2],
        spec: &LowRankSpec,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);

    /// Gradients of [`KernelOps::fused_low_rank_add`] for `x`, `A` (both where `x` is given or
    /// wanted) and `B`; the gradient for `y` is `grad` itself.
    fn low_rank_add_backward(
        kept: LowRankKept<FloatTensor<Self>>,
        grad: FloatTensor<Self>,
        spec: &LowRankSpec,
    ) -> LowRankGradients<FloatTensor<Self>>;

    /// Gradients of [`KernelOps::fused_rms_norm`] for `x` and, if wanted, `weight`.
    fn fused_rms_norm_backward(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        eps: f32,
        want_weight: bool,
    ) -> (FloatTensor<Self>, Option<FloatTensor<Self>>);

    /// Gradients of [`KernelOps::fused_qk_norm`] for the rows and the two norms.
    fn fused_qk_norm_backward(
        qkv: FloatTensor<Self>,
        norms: [FloatTensor<Self>; 2],
        grad: FloatTensor<Self>,
        layout: HeadLayout,
        eps: f32,
    ) -> [FloatTensor<Self>; 3];

    /// Gradient of [`KernelOps::fused_gated`].
    fn fused_gated_backward(
        gate_up: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        activation: Activation,
    ) -> FloatTensor<Self>;

    /// Gradient of [`KernelOps::fused_embedding`] for a table of `rows` rows.
    fn fused_embedding_backward(
        rows: usize,
        ids: Arc<[u32]>,
        grad: FloatTensor<Self>,
    ) -> FloatTensor<Self>;

    /// Gradient of [`KernelOps::fused_attention`].
    fn fused_attention_backward(
        qkv: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        spec: AttentionSpec,
    ) -> FloatTensor<Self>;

    /// Gradients of [`KernelOps::fused_biased_attention`] for the rows and the bias.
    fn fused_biased_attention_backward(
        qkv: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        spec: AttentionSpec,
    ) -> [FloatTensor<Self>; 2];

    /// Gradients of [`KernelOps::fused_cross_attention`] for the queries, and for the keys and values.
    fn fused_cross_attention_backward(
        q: FloatTensor<Self>,
        kv: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        spec: CrossAttentionSpec,
    ) -> [FloatTensor<Self>; 2];

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
