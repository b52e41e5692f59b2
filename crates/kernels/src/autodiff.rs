//! Hand-written backward passes. Each operation keeps its inputs (and for the output head the
//! log-sum-exp of each row) and recomputes the rest. A linear layer keeps and computes
//! nothing for an input without a gradient, nor for its weights if none of them has one; smaller
//! parameters beside a tracked input (norms, biases) get theirs anyway.

use crate::activation::Activation;
use crate::attention::{AttentionSpec, CrossAttentionSpec, HeadLayout};
use crate::low_rank::{LowRankKept, LowRankSpec};
use crate::ops::{KernelGradients, KernelOps};
use burn::backend::Autodiff;
use burn::backend::TensorMetadata;
use burn::backend::tensor::FloatTensor;
use burn_autodiff::NodeId;
use burn_autodiff::checkpoint::base::Checkpointer;
use burn_autodiff::checkpoint::strategy::CheckpointStrategy;
use burn_autodiff::grads::Gradients;
use burn_autodiff::ops::{Backward, Ops, OpsKind};
use std::sync::Arc;

/// Linear layers that share an input: `N` parents are the input and the weights.
#[derive(Debug)]
struct Linears;

/// What the gradients of [`Linears`] need: the input if a weight is trained, the weights if the
/// input has a gradient.
#[derive(Clone, Debug)]
struct LinearsState<B: KernelGradients> {
    x: Option<FloatTensor<B>>,
    weights: Option<Vec<FloatTensor<B>>>,
    outputs: Vec<usize>,
}

impl<B: KernelGradients, const N: usize> Backward<B, N> for Linears {
    type State = LinearsState<B>;

    fn backward(self, ops: Ops<Self::State, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let parents = ops.parents.map(|node| node.map(|node| node.id));
        register_linears::<B>(&parents, ops.state, grad, grads);
    }
}

/// [`Linears`] with one weight and a residual, the last parent.
#[derive(Debug)]
struct LinearAdd;

impl<B: KernelGradients> Backward<B, 3> for LinearAdd {
    type State = LinearsState<B>;

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let [x, weight, residual] = ops.parents.map(|node| node.map(|node| node.id));
        register_linears::<B>(&[x, weight], ops.state, grad.clone(), grads);
        if let Some(id) = residual {
            grads.register::<B>(id, grad);
        }
    }
}

fn register_linears<B: KernelGradients>(
    parents: &[Option<NodeId>],
    state: LinearsState<B>,
    grad: FloatTensor<B>,
    grads: &mut Gradients,
) {
    if let (Some(id), Some(weights)) = (parents[0], &state.weights) {
        grads.register::<B>(id, B::linears_backward_input(weights, grad.clone()));
    }
    if let Some(x) = state.x {
        let gradients = B::linears_backward_weights(x, grad, &state.outputs);
        for (id, grad) in parents[1..].iter().zip(gradients) {
            if let Some(id) = id {
                grads.register::<B>(*id, grad);
            }
        }
    }
}

/// A tensor that may be part of the graph.
type Tracked<B, C> = FloatTensor<Autodiff<B, C>>;

/// The output of [`Linears`] on tracked or untracked tensors.
fn linears<B: KernelGradients, C: CheckpointStrategy, const N: usize>(
    tensors: [Tracked<B, C>; N],
) -> Tracked<B, C> {
    let tracked = tensors.each_ref().map(|tensor| is_tracked::<B, C>(tensor));
    let nodes = tensors.each_ref().map(|tensor| tensor.node());
    let [x, weights @ ..] = &tensors.map(|tensor| tensor.into_primitive())[..] else {
        unreachable!("the input comes first")
    };
    let output = B::linears(x.clone(), weights, None);
    match Backward::<B, N>::prepare::<C>(Linears, nodes).compute_bound().stateful() {
        OpsKind::Tracked(prep) => prep.finish(LinearsState::new(x, weights, &tracked), output),
        OpsKind::UnTracked(prep) => prep.finish(output),
    }
}

/// Whether a gradient will flow into the tensor.
fn is_tracked<B: KernelGradients, C: CheckpointStrategy>(tensor: &Tracked<B, C>) -> bool {
    // The engine tells it only to an operation with the tensor as its parent, which is dropped.
    let operation = Backward::<B, 1>::prepare::<C>(Linears, [tensor.node()]);
    matches!(operation.compute_bound().stateful(), OpsKind::Tracked(_))
}

impl<B: KernelGradients> LinearsState<B> {
    /// `tracked`: whether a gradient will flow into the input and each weight.
    fn new(x: &FloatTensor<B>, weights: &[FloatTensor<B>], tracked: &[bool]) -> Self {
        Self {
            outputs: weights.iter().map(|weight| weight.shape()[0]).collect(),
            x: tracked[1..].contains(&true).then(|| x.clone()),
            weights: tracked[0].then(|| weights.to_vec()),
        }
    }
}

/// Parents are the output that is added to, the input and the two factors.
#[derive(Debug)]
struct LowRankAdd;

impl<B: KernelGradients> Backward<B, 4> for LowRankAdd {
    type State = (LowRankKept<FloatTensor<B>>, LowRankSpec);

    fn backward(self, ops: Ops<Self::State, 4>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let [y, x, a, b] = ops.parents.map(|node| node.map(|node| node.id));
        let (kept, spec) = ops.state;
        let gradients = B::low_rank_add_backward(kept, grad.clone(), &spec);
        let wanted = [(x, gradients.x), (a, gradients.a), (b, gradients.b), (y, Some(grad))];
        for (id, grad) in wanted {
            if let (Some(id), Some(grad)) = (id, grad) {
                grads.register::<B>(id, grad);
            }
        }
    }
}

#[derive(Debug)]
struct RmsNorm;

impl<B: KernelGradients> Backward<B, 2> for RmsNorm {
    type State = (FloatTensor<B>, FloatTensor<B>, f32);

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let [x_node, weight_node] = ops.parents;
        let (x, weight, eps) = ops.state;
        let (grad_x, grad_weight) =
            B::fused_rms_norm_backward(x, weight, grad, eps, weight_node.is_some());
        if let Some(node) = x_node {
            grads.register::<B>(node.id, grad_x);
        }
        if let (Some(node), Some(grad)) = (weight_node, grad_weight) {
            grads.register::<B>(node.id, grad);
        }
    }
}

#[derive(Debug)]
struct QkNorm;

impl<B: KernelGradients> Backward<B, 3> for QkNorm {
    type State = (FloatTensor<B>, [FloatTensor<B>; 2], HeadLayout, f32);

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let (qkv, norms, layout, eps) = ops.state;
        let gradients = B::fused_qk_norm_backward(qkv, norms, grad, layout, eps);
        for (node, grad) in ops.parents.into_iter().zip(gradients) {
            if let Some(node) = node {
                grads.register::<B>(node.id, grad);
            }
        }
    }
}

#[derive(Debug)]
struct Gated;

impl<B: KernelGradients> Backward<B, 1> for Gated {
    type State = (FloatTensor<B>, Activation);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let [node] = ops.parents;
        let (gate_up, activation) = ops.state;
        if let Some(node) = node {
            grads.register::<B>(node.id, B::fused_gated_backward(gate_up, grad, activation));
        }
    }
}

#[derive(Debug)]
struct Embedding;

impl<B: KernelGradients> Backward<B, 1> for Embedding {
    type State = (usize, Arc<[u32]>);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let [table] = ops.parents;
        let (rows, ids) = ops.state;
        if let Some(node) = table {
            grads.register::<B>(node.id, B::fused_embedding_backward(rows, ids, grad));
        }
    }
}

#[derive(Debug)]
struct Attention;

impl<B: KernelGradients> Backward<B, 1> for Attention {
    type State = (FloatTensor<B>, AttentionSpec);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let [qkv_node] = ops.parents;
        let (qkv, spec) = ops.state;
        if let Some(node) = qkv_node {
            grads.register::<B>(node.id, B::fused_attention_backward(qkv, grad, spec));
        }
    }
}

#[derive(Debug)]
struct BiasedAttention;

impl<B: KernelGradients> Backward<B, 2> for BiasedAttention {
    type State = (FloatTensor<B>, FloatTensor<B>, AttentionSpec);

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let (qkv, bias, spec) = ops.state;
        let gradients = B::fused_biased_attention_backward(qkv, bias, grad, spec);
        for (node, grad) in ops.parents.into_iter().zip(gradients) {
            if let Some(node) = node {
                grads.register::<B>(node.id, grad);
            }
        }
    }
}

#[derive(Debug)]
struct CrossAttention;

impl<B: KernelGradients> Backward<B, 2> for CrossAttention {
    type State = (FloatTensor<B>, FloatTensor<B>, CrossAttentionSpec);

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let (q, kv, spec) = ops.state;
        let gradients = B::fused_cross_attention_backward(q, kv, grad, spec);
        for (node, grad) in ops.parents.into_iter().zip(gradients) {
            if let Some(node) = node {
                grads.register::<B>(node.id, grad);
            }
        }
    }
}

#[derive(Debug)]
struct TokenLogProb;

impl<B: KernelGradients> Backward<B, 2> for TokenLogProb {
    /// Hidden states, head, targets, excluded tokens, log-sum-exp of each row.
    type State = (FloatTensor<B>, FloatTensor<B>, Arc<[u32]>, Arc<[u32]>, FloatTensor<B>);

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let [hidden_node, head_node] = ops.parents;
        let (hidden, head, targets, excluded, sums) = ops.state;
        let want_head = head_node.is_some();
        let (grad_hidden, grad_head) = B::fused_token_log_prob_backward(
            hidden, head, targets, excluded, sums, grad, want_head,
        );
        if let Some(node) = hidden_node {
            grads.register::<B>(node.id, grad_hidden);
        }
        if let (Some(node), Some(grad)) = (head_node, grad_head) {
            grads.register::<B>(node.id, grad);
        }
    }
}

impl<B: KernelGradients, C: CheckpointStrategy> KernelOps for Autodiff<B, C> {
    fn fused_linear(x: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
        linears::<B, C, _>([x, weight])
    }

    fn fused_linear_add(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        residual: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let tracked = [&x, &weight].map(|tensor| is_tracked::<B, C>(tensor));
        let nodes = [x.node(), weight.node(), residual.node()];
        let [x, weight, residual] = [x, weight, residual].map(|tensor| tensor.into_primitive());
        let weights = [weight];
        let output = B::linears(x.clone(), &weights, Some(residual));
        match LinearAdd.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                prep.finish(LinearsState::new(&x, &weights, &tracked), output)
            }
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }

    fn fused_linear_pair(
        x: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        linears::<B, C, _>([x, first, second])
    }

    fn fused_linear_triple(
        x: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        third: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        linears::<B, C, _>([x, first, second, third])
    }

    fn fused_low_rank_add(
        y: FloatTensor<Self>,
        x: FloatTensor<Self>,
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        spec: LowRankSpec,
    ) -> FloatTensor<Self> {
        let [want_x, want_a, want_b] = [&x, &a, &b].map(|tensor| is_tracked::<B, C>(tensor));
        let nodes = [y.node(), x.node(), a.node(), b.node()];
        let [y, x, a, b] = [y, x, a, b].map(|tensor| tensor.into_primitive());
        let (output, inner) = B::low_rank_add(y, x.clone(), [a.clone(), b.clone()], &spec);
        match LowRankAdd.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let (x, inner) = (want_a.then_some(x), want_b.then_some(inner));
                prep.finish((LowRankKept { a, b, x, inner, want_x }, spec), output)
            }
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }

    fn fused_rms_norm(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        eps: f32,
    ) -> FloatTensor<Self> {
        let ((x, x_node), (weight, weight_node)) = (x.into_parts(), weight.into_parts());
        match RmsNorm.prepare::<C>([x_node, weight_node]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let output = B::fused_rms_norm(x.clone(), weight.clone(), eps);
                prep.finish((x, weight, eps), output)
            }
            OpsKind::UnTracked(prep) => prep.finish(B::fused_rms_norm(x, weight, eps)),
        }
    }

    fn fused_qk_norm(
        qkv: FloatTensor<Self>,
        q_norm: FloatTensor<Self>,
        k_norm: FloatTensor<Self>,
        layout: HeadLayout,
        eps: f32,
    ) -> FloatTensor<Self> {
        let [(qkv, node), (q_norm, q_node), (k_norm, k_node)] =
            [qkv, q_norm, k_norm].map(|tensor| tensor.into_parts());
        let output = B::fused_qk_norm(qkv.clone(), q_norm.clone(), k_norm.clone(), layout, eps);
        match QkNorm.prepare::<C>([node, q_node, k_node]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((qkv, [q_norm, k_norm], layout, eps), output),
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }

    fn fused_gated(gate_up: FloatTensor<Self>, activation: Activation) -> FloatTensor<Self> {
        let (gate_up, node) = gate_up.into_parts();
        let output = B::fused_gated(gate_up.clone(), activation);
        match Gated.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((gate_up, activation), output),
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }

    fn fused_embedding(table: FloatTensor<Self>, ids: Arc<[u32]>) -> FloatTensor<Self> {
        let (table, node) = table.into_parts();
        match Embedding.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let rows = table.shape()[0];
                let output = B::fused_embedding(table, ids.clone());
                prep.finish((rows, ids), output)
            }
            OpsKind::UnTracked(prep) => prep.finish(B::fused_embedding(table, ids)),
        }
    }

    fn fused_attention(qkv: FloatTensor<Self>, spec: AttentionSpec) -> FloatTensor<Self> {
        let (qkv, node) = qkv.into_parts();
        let output = B::fused_attention(qkv.clone(), spec.clone());
        match Attention.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((qkv, spec), output),
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }

    fn fused_biased_attention(
        qkv: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        spec: AttentionSpec,
    ) -> FloatTensor<Self> {
        let [(qkv, node), (bias, bias_node)] = [qkv, bias].map(|tensor| tensor.into_parts());
        let output = B::fused_biased_attention(qkv.clone(), bias.clone(), spec.clone());
        match BiasedAttention.prepare::<C>([node, bias_node]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((qkv, bias, spec), output),
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }

    fn fused_cross_attention(
        q: FloatTensor<Self>,
        kv: FloatTensor<Self>,
        spec: CrossAttentionSpec,
    ) -> FloatTensor<Self> {
        let [(q, q_node), (kv, kv_node)] = [q, kv].map(|tensor| tensor.into_parts());
        let output = B::fused_cross_attention(q.clone(), kv.clone(), spec.clone());
        match CrossAttention.prepare::<C>([q_node, kv_node]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((q, kv, spec), output),
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }

    fn fused_token_log_prob(
        hidden: FloatTensor<Self>,
        head: FloatTensor<Self>,
        targets: Arc<[u32]>,
        excluded: Arc<[u32]>,
    ) -> FloatTensor<Self> {
        let ((hidden, hidden_node), (head, head_node)) = (hidden.into_parts(), head.into_parts());
        match TokenLogProb.prepare::<C>([hidden_node, head_node]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let (output, sums) = B::fused_token_log_prob_with_sums(
                    hidden.clone(),
                    head.clone(),
                    targets.clone(),
                    excluded.clone(),
                );
                prep.finish((hidden, head, targets, excluded, sums), output)
            }
            OpsKind::UnTracked(prep) => {
                prep.finish(B::fused_token_log_prob(hidden, head, targets, excluded))
            }
        }
    }
}
