//! Hand-written backward passes. Each operation keeps its inputs (and for the output head the
//! log-sum-exp of each row) and recomputes the rest; a gradient that nobody asked for is not built.

use crate::attention::AttentionSpec;
use crate::ops::{KernelGradients, KernelOps};
use burn::backend::Autodiff;
use burn::backend::TensorMetadata;
use burn::backend::tensor::FloatTensor;
use burn_autodiff::checkpoint::base::Checkpointer;
use burn_autodiff::checkpoint::strategy::CheckpointStrategy;
use burn_autodiff::grads::Gradients;
use burn_autodiff::ops::{Backward, Ops, OpsKind};
use std::sync::Arc;

#[derive(Debug)]
struct Linear;

impl<B: KernelGradients> Backward<B, 2> for Linear {
    /// Input and weight.
    type State = (FloatTensor<B>, FloatTensor<B>);

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let [x_node, weight_node] = ops.parents;
        let (x, weight) = ops.state;
        if let Some(node) = x_node {
            grads.register::<B>(node.id, B::fused_linear_backward_input(weight, grad.clone()));
        }
        if let Some(node) = weight_node {
            grads.register::<B>(node.id, B::fused_linear_backward_weight(x, grad));
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
struct SwiGlu;

impl<B: KernelGradients> Backward<B, 2> for SwiGlu {
    type State = (FloatTensor<B>, FloatTensor<B>);

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let (gate, up) = ops.state;
        let (grad_gate, grad_up) = B::fused_swiglu_backward(gate, up, grad);
        for (node, grad) in ops.parents.into_iter().zip([grad_gate, grad_up]) {
            if let Some(node) = node {
                grads.register::<B>(node.id, grad);
            }
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

impl<B: KernelGradients> Backward<B, 3> for Attention {
    type State = ([FloatTensor<B>; 3], AttentionSpec);

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<B>(&ops.node);
        let ([q, k, v], spec) = ops.state;
        let gradients = B::fused_attention_backward(q, k, v, grad, spec);
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
        let ((x, x_node), (weight, weight_node)) = (x.into_parts(), weight.into_parts());
        match Linear.prepare::<C>([x_node, weight_node]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let output = B::fused_linear(x.clone(), weight.clone());
                prep.finish((x, weight), output)
            }
            OpsKind::UnTracked(prep) => prep.finish(B::fused_linear(x, weight)),
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

    fn fused_swiglu(gate: FloatTensor<Self>, up: FloatTensor<Self>) -> FloatTensor<Self> {
        let ((gate, gate_node), (up, up_node)) = (gate.into_parts(), up.into_parts());
        match SwiGlu.prepare::<C>([gate_node, up_node]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let output = B::fused_swiglu(gate.clone(), up.clone());
                prep.finish((gate, up), output)
            }
            OpsKind::UnTracked(prep) => prep.finish(B::fused_swiglu(gate, up)),
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

    fn fused_attention(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        spec: AttentionSpec,
    ) -> FloatTensor<Self> {
        let ((q, q_node), (k, k_node), (v, v_node)) =
            (q.into_parts(), k.into_parts(), v.into_parts());
        match Attention.prepare::<C>([q_node, k_node, v_node]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let output = B::fused_attention(q.clone(), k.clone(), v.clone(), spec.clone());
                prep.finish(([q, k, v], spec), output)
            }
            OpsKind::UnTracked(prep) => prep.finish(B::fused_attention(q, k, v, spec)),
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
