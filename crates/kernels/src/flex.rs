//! The CPU backend's implementation: tensors to slices and back.

use crate::activation::Activation;
use crate::attention::{AttentionSpec, CrossAttentionSpec, HeadLayout};
use crate::cpu;
use crate::cpu::weight::Weight;
use crate::low_rank::{LowRankGradients, LowRankKept, LowRankSpec};
use crate::ops::{KernelGradients, KernelOps};
use crate::optimizer::AdamWStep;
use burn::backend::{Flex, TensorMetadata};
use burn::tensor::{Bytes, DType, Shape};
use burn_flex::{FlexTensor, Layout};
use half::bf16;
use std::sync::Arc;

/// The values of a tensor, copied only if it is a strided view.
struct Values(FlexTensor);

impl Values {
    fn new(tensor: FlexTensor) -> Self {
        let contiguous = match tensor.dtype() {
            DType::BF16 => tensor.as_slice::<bf16>().is_some(),
            _ => tensor.as_slice::<f32>().is_some(),
        };
        if contiguous { Self(tensor) } else { Self(tensor.to_contiguous()) }
    }

    /// The values of a weight, which may be stored in bf16.
    fn weight(&self) -> Weight<'_> {
        match self.0.as_slice::<bf16>() {
            Some(values) => Weight::Bf16(values),
            None => Weight::F32(self.slice()),
        }
    }

    fn slice(&self) -> &[f32] {
        // `new` made the tensor contiguous, so the only way to fail is a tensor that is not f32,
        // which the typed functions above do not produce. Activations are never stored in bf16.
        #[expect(clippy::expect_used)]
        self.0.as_slice().expect("kernels compute in f32")
    }

    fn last_dim(&self) -> usize {
        let shape = self.0.shape();
        shape[shape.num_dims() - 1]
    }
}

fn tensor(values: Vec<f32>, shape: impl std::convert::Into<Shape>) -> FlexTensor {
    FlexTensor::new(Bytes::from_elems(values), Layout::contiguous(shape.into()), DType::F32)
}

/// A tensor that is the whole of its storage, so that the storage can be written to.
fn whole(tensor: FlexTensor) -> FlexTensor {
    let shape = tensor.shape();
    let values = Values::new(tensor);
    if values.slice().len() == values.0.storage::<f32>().len() {
        return values.0;
    }
    self::tensor(values.slice().to_vec(), shape)
}

impl KernelOps for Flex {
    fn fused_linear(x: FlexTensor, weight: FlexTensor) -> FlexTensor {
        Self::linears(x, &[weight], None)
    }

    fn fused_linear_add(x: FlexTensor, weight: FlexTensor, residual: FlexTensor) -> FlexTensor {
        Self::linears(x, &[weight], Some(residual))
    }

    fn fused_linear_pair(x: FlexTensor, first: FlexTensor, second: FlexTensor) -> FlexTensor {
        Self::linears(x, &[first, second], None)
    }

    fn fused_linear_triple(
        x: FlexTensor,
        first: FlexTensor,
        second: FlexTensor,
        third: FlexTensor,
    ) -> FlexTensor {
        Self::linears(x, &[first, second, third], None)
    }

    fn fused_low_rank_add(
        y: FlexTensor,
        x: FlexTensor,
        a: FlexTensor,
        b: FlexTensor,
        spec: LowRankSpec,
    ) -> FlexTensor {
        Self::low_rank_add(y, x, [a, b], &spec).0
    }

    fn fused_rms_norm(x: FlexTensor, weight: FlexTensor, eps: f32) -> FlexTensor {
        let shape = x.shape();
        let (x, weight) = (Values::new(x), Values::new(weight));
        tensor(cpu::rms_norm::forward(x.slice(), weight.slice(), eps), shape)
    }

    fn fused_qk_norm(
        qkv: FlexTensor,
        q_norm: FlexTensor,
        k_norm: FlexTensor,
        layout: HeadLayout,
        eps: f32,
    ) -> FlexTensor {
        let shape = qkv.shape();
        let [qkv, q_norm, k_norm] = [qkv, q_norm, k_norm].map(Values::new);
        let norms = [q_norm.slice(), k_norm.slice()];
        tensor(cpu::qk_norm::forward(qkv.slice(), norms, layout, eps), shape)
    }

    fn fused_gated(gate_up: FlexTensor, activation: Activation) -> FlexTensor {
        let (rows, gate_up) = (gate_up.shape()[0], Values::new(gate_up));
        let inner = gate_up.last_dim() / 2;
        tensor(cpu::gated::forward(gate_up.slice(), inner, activation), [rows, inner])
    }

    fn fused_embedding(table: FlexTensor, ids: Arc<[u32]>) -> FlexTensor {
        let table = Values::new(table);
        let width = table.last_dim();
        tensor(cpu::embedding::forward(table.weight(), &ids, width), [ids.len(), width])
    }

    fn fused_attention(qkv: FlexTensor, spec: AttentionSpec) -> FlexTensor {
        let positions = qkv.shape()[0];
        let width = positions / spec.lengths.len();
        let values = cpu::attention::forward(Values::new(qkv).slice(), None, width, &spec);
        tensor(values, [positions, spec.layout.keys()])
    }

    fn fused_biased_attention(
        qkv: FlexTensor,
        bias: FlexTensor,
        spec: AttentionSpec,
    ) -> FlexTensor {
        let positions = qkv.shape()[0];
        let width = positions / spec.lengths.len();
        let (qkv, bias) = (Values::new(qkv), Values::new(bias));
        let values = cpu::attention::forward(qkv.slice(), Some(bias.slice()), width, &spec);
        tensor(values, [positions, spec.layout.keys()])
    }

    fn fused_cross_attention(
        q: FlexTensor,
        kv: FlexTensor,
        spec: CrossAttentionSpec,
    ) -> FlexTensor {
        let shape = [q.shape()[0], spec.layout.keys()];
        let (q, kv) = (Values::new(q), Values::new(kv));
        tensor(cpu::attention::cross_forward(q.slice(), kv.slice(), &spec), shape)
    }

    fn fused_token_log_prob(
        hidden: FlexTensor,
        head: FlexTensor,
        targets: Arc<[u32]>,
        excluded: Arc<[u32]>,
    ) -> FlexTensor {
        Self::fused_token_log_prob_with_sums(hidden, head, targets, excluded).0
    }
}

impl KernelGradients for Flex {
    fn linears(x: FlexTensor, weights: &[FlexTensor], residual: Option<FlexTensor>) -> FlexTensor {
        let (rows, outputs) = (x.shape()[0], weights.iter().map(|weight| weight.shape()[0]).sum());
        let (x, residual) = (Values::new(x), residual.map(Values::new));
        let weights: Vec<Values> = weights.iter().cloned().map(Values::new).collect();
        let weights: Vec<Weight<'_>> = weights.iter().map(Values::weight).collect();
        let residual = residual.as_ref().map(Values::slice);
        let y = cpu::linear::forward(x.slice(), &weights, x.last_dim(), residual);
        tensor(y, Shape::new([rows, outputs]))
    }

    fn linears_backward_input(weights: &[FlexTensor], grad: FlexTensor) -> FlexTensor {
        let (rows, inputs) = (grad.shape()[0], weights[0].shape()[1]);
        let grad = Values::new(grad);
        let weights: Vec<Values> = weights.iter().cloned().map(Values::new).collect();
        let weights: Vec<Weight<'_>> = weights.iter().map(Values::weight).collect();
        tensor(cpu::linear::backward_input(&weights, grad.slice(), inputs), [rows, inputs])
    }

    fn linears_backward_weights(
        x: FlexTensor,
        grad: FlexTensor,
        outputs: &[usize],
    ) -> Vec<FlexTensor> {
        let (x, grad) = (Values::new(x), Values::new(grad));
        let inputs = x.last_dim();
        cpu::linear::backward_weights(x.slice(), grad.slice(), inputs, outputs)
            .into_iter()
            .zip(outputs)
            .map(|(values, outputs)| tensor(values, [*outputs, inputs]))
            .collect()
    }

    fn low_rank_add(
        y: FlexTensor,
        x: FlexTensor,
        factors: [FlexTensor; 2],
        spec: &LowRankSpec,
    ) -> (FlexTensor, FlexTensor) {
        let (rows, rank) = (x.shape()[0], factors[0].shape()[0]);
        let mut y = whole(y);
        let stride = y.shape()[1];
        let x = Values::new(x);
        let [a, b] = factors.map(Values::new);
        let factors = cpu::low_rank::Factors { a: a.slice(), b: b.slice(), rank };
        let inner = cpu::low_rank::forward(y.storage_mut(), stride, x.slice(), factors, spec);
        (y, tensor(inner, [rows, rank]))
    }

    fn low_rank_add_backward(
        kept: LowRankKept<FlexTensor>,
        grad: FlexTensor,
        spec: &LowRankSpec,
    ) -> LowRankGradients<FlexTensor> {
        let (a_shape, b_shape) = (kept.a.shape(), kept.b.shape());
        let [rows, stride] = [grad.shape()[0], grad.shape()[1]];
        let [rank, inputs] = [a_shape[0], a_shape[1]];
        let [a, b, grad] = [kept.a, kept.b, grad].map(Values::new);
        let [x, inner] = [kept.x, kept.inner].map(|tensor| tensor.map(Values::new));
        let kept = LowRankKept {
            a: a.slice(),
            b: b.slice(),
            x: x.as_ref().map(Values::slice),
            inner: inner.as_ref().map(Values::slice),
            want_x: kept.want_x,
        };
        let gradients = cpu::low_rank::backward(kept, rank, grad.slice(), stride, spec);
        LowRankGradients {
            x: gradients.x.map(|values| tensor(values, [rows, inputs])),
            a: gradients.a.map(|values| tensor(values, a_shape)),
            b: gradients.b.map(|values| tensor(values, b_shape)),
        }
    }

    fn fused_rms_norm_backward(
        x: FlexTensor,
        weight: FlexTensor,
        grad: FlexTensor,
        eps: f32,
        want_weight: bool,
    ) -> (FlexTensor, Option<FlexTensor>) {
        let (x_shape, weight_shape) = (x.shape(), weight.shape());
        let (x, weight, grad) = (Values::new(x), Values::new(weight), Values::new(grad));
        let (grad_x, grad_weight) =
            cpu::rms_norm::backward(x.slice(), weight.slice(), grad.slice(), eps, want_weight);
        (tensor(grad_x, x_shape), grad_weight.map(|values| tensor(values, weight_shape)))
    }

    fn fused_qk_norm_backward(
        qkv: FlexTensor,
        [q_norm, k_norm]: [FlexTensor; 2],
        grad: FlexTensor,
        layout: HeadLayout,
        eps: f32,
    ) -> [FlexTensor; 3] {
        let (shape, norm_shape) = (qkv.shape(), q_norm.shape());
        let [qkv, q_norm, k_norm, grad] = [qkv, q_norm, k_norm, grad].map(Values::new);
        let norms = [q_norm.slice(), k_norm.slice()];
        let grads = cpu::qk_norm::backward(qkv.slice(), norms, grad.slice(), layout, eps);
        let norm = |values| tensor(values, norm_shape.clone());
        [tensor(grads.x, shape), norm(grads.q_norm), norm(grads.k_norm)]
    }

    fn fused_gated_backward(
        gate_up: FlexTensor,
        grad: FlexTensor,
        activation: Activation,
    ) -> FlexTensor {
        let (shape, gate_up, grad) = (gate_up.shape(), Values::new(gate_up), Values::new(grad));
        let inner = grad.last_dim();
        tensor(cpu::gated::backward(gate_up.slice(), grad.slice(), inner, activation), shape)
    }

    fn fused_embedding_backward(rows: usize, ids: Arc<[u32]>, grad: FlexTensor) -> FlexTensor {
        let grad = Values::new(grad);
        let width = grad.last_dim();
        tensor(cpu::embedding::backward(rows, &ids, grad.slice(), width), [rows, width])
    }

    fn fused_attention_backward(
        qkv: FlexTensor,
        grad: FlexTensor,
        spec: AttentionSpec,
    ) -> FlexTensor {
        let shape = qkv.shape();
        let width = shape[0] / spec.lengths.len();
        let (qkv, grad) = (Values::new(qkv), Values::new(grad));
        tensor(cpu::attention::backward(qkv.slice(), None, grad.slice(), width, &spec).0, shape)
    }

    fn fused_biased_attention_backward(
        qkv: FlexTensor,
        bias: FlexTensor,
        grad: FlexTensor,
        spec: AttentionSpec,
    ) -> [FlexTensor; 2] {
        let (shape, bias_shape) = (qkv.shape(), bias.shape());
        let width = shape[0] / spec.lengths.len();
        let [qkv, bias, grad] = [qkv, bias, grad].map(Values::new);
        let bias = Some(bias.slice());
        let (grad_qkv, grad_bias) =
            cpu::attention::backward(qkv.slice(), bias, grad.slice(), width, &spec);
        [tensor(grad_qkv, shape), tensor(grad_bias.unwrap_or_default(), bias_shape)]
    }

    fn fused_cross_attention_backward(
        q: FlexTensor,
        kv: FlexTensor,
        grad: FlexTensor,
        spec: CrossAttentionSpec,
    ) -> [FlexTensor; 2] {
        let (q_shape, kv_shape) = (q.shape(), kv.shape());
        let [q, kv, grad] = [q, kv, grad].map(Values::new);
        let (grad_q, grad_kv) =
            cpu::attention::cross_backward(q.slice(), kv.slice(), grad.slice(), &spec);
        [tensor(grad_q, q_shape), tensor(grad_kv, kv_shape)]
    }

    fn fused_token_log_prob_with_sums(
        hidden: FlexTensor,
        head: FlexTensor,
        targets: Arc<[u32]>,
        excluded: Arc<[u32]>,
    ) -> (FlexTensor, FlexTensor) {
        let (hidden, head) = (Values::new(hidden), Values::new(head));
        let (log_probs, sums) = cpu::token_log_prob::forward(
            hidden.slice(),
            head.weight(),
            &targets,
            &excluded,
            hidden.last_dim(),
        );
        (tensor(log_probs, [targets.len()]), tensor(sums, [targets.len()]))
    }

    fn fused_token_log_prob_backward(
        hidden: FlexTensor,
        head: FlexTensor,
        targets: Arc<[u32]>,
        excluded: Arc<[u32]>,
        sums: FlexTensor,
        grad: FlexTensor,
        want_head: bool,
    ) -> (FlexTensor, Option<FlexTensor>) {
        let (hidden_shape, head_shape) = (hidden.shape(), head.shape());
        let [hidden, head, sums, grad] = [hidden, head, sums, grad].map(Values::new);
        let (grad_hidden, grad_head) = cpu::token_log_prob::backward(
            hidden.slice(),
            head.weight(),
            &targets,
            &excluded,
            sums.slice(),
            grad.slice(),
            hidden.last_dim(),
            want_head,
        );
        (tensor(grad_hidden, hidden_shape), grad_head.map(|values| tensor(values, head_shape)))
    }

    fn adamw(
        parameter: FlexTensor,
        grad: FlexTensor,
        moments: [FlexTensor; 2],
        step: AdamWStep,
    ) -> (FlexTensor, [FlexTensor; 2]) {
        let grad = Values::new(grad);
        let [first, second] = moments;
        let [mut parameter, mut first, mut second] = [parameter, first, second].map(whole);
        cpu::adamw::update(
            parameter.storage_mut(),
            grad.slice(),
            first.storage_mut(),
            second.storage_mut(),
            step,
        );
        (parameter, [first, second])
    }

    fn sum_of_squares(x: FlexTensor) -> f64 {
        cpu::adamw::sum_of_squares(Values::new(x).slice())
    }
}
