//! The CPU backend's implementation: tensors to slices and back.

use crate::attention::AttentionSpec;
use crate::cpu;
use crate::ops::{KernelGradients, KernelOps};
use crate::optimizer::AdamWStep;
use burn::backend::{Flex, TensorMetadata};
use burn::tensor::{Bytes, DType, Shape};
use burn_flex::{FlexTensor, Layout};
use std::sync::Arc;

/// The values of a tensor, copied only if it is a strided view.
struct Values(FlexTensor);

impl Values {
    fn new(tensor: FlexTensor) -> Self {
        if tensor.as_slice::<f32>().is_some() { Self(tensor) } else { Self(tensor.to_contiguous()) }
    }

    fn slice(&self) -> &[f32] {
        // `new` made the tensor contiguous, so the only way to fail is a tensor that is not f32,
        // which the typed functions above do not produce.
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
        let (rows, outputs) = (x.shape()[0], weight.shape()[0]);
        let (x, weight) = (Values::new(x), Values::new(weight));
        tensor(cpu::linear::forward(x.slice(), weight.slice(), x.last_dim()), [rows, outputs])
    }

    fn fused_rms_norm(x: FlexTensor, weight: FlexTensor, eps: f32) -> FlexTensor {
        let shape = x.shape();
        let (x, weight) = (Values::new(x), Values::new(weight));
        tensor(cpu::rms_norm::forward(x.slice(), weight.slice(), eps), shape)
    }

    fn fused_swiglu(gate: FlexTensor, up: FlexTensor) -> FlexTensor {
        let shape = gate.shape();
        tensor(cpu::swiglu::forward(Values::new(gate).slice(), Values::new(up).slice()), shape)
    }

    fn fused_embedding(table: FlexTensor, ids: Arc<[u32]>) -> FlexTensor {
        let table = Values::new(table);
        let width = table.last_dim();
        tensor(cpu::embedding::forward(table.slice(), &ids, width), [ids.len(), width])
    }

    fn fused_attention(
        q: FlexTensor,
        k: FlexTensor,
        v: FlexTensor,
        spec: AttentionSpec,
    ) -> FlexTensor {
        let shape = q.shape();
        let width = shape[0] / spec.lengths.len();
        let (q, k, v) = (Values::new(q), Values::new(k), Values::new(v));
        tensor(cpu::attention::forward(q.slice(), k.slice(), v.slice(), width, &spec), shape)
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
    fn fused_linear_backward_input(weight: FlexTensor, grad: FlexTensor) -> FlexTensor {
        let (rows, weight, grad) = (grad.shape()[0], Values::new(weight), Values::new(grad));
        let inputs = weight.last_dim();
        tensor(cpu::linear::backward_input(weight.slice(), grad.slice(), inputs), [rows, inputs])
    }

    fn fused_linear_backward_weight(x: FlexTensor, grad: FlexTensor) -> FlexTensor {
        let (x, grad) = (Values::new(x), Values::new(grad));
        let (inputs, outputs) = (x.last_dim(), grad.last_dim());
        let values = cpu::linear::backward_weight(x.slice(), grad.slice(), inputs, outputs);
        tensor(values, [outputs, inputs])
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

    fn fused_swiglu_backward(
        gate: FlexTensor,
        up: FlexTensor,
        grad: FlexTensor,
    ) -> (FlexTensor, FlexTensor) {
        let shape = gate.shape();
        let (gate, up, grad) = (Values::new(gate), Values::new(up), Values::new(grad));
        let (grad_gate, grad_up) = cpu::swiglu::backward(gate.slice(), up.slice(), grad.slice());
        (tensor(grad_gate, shape.clone()), tensor(grad_up, shape))
    }

    fn fused_embedding_backward(rows: usize, ids: Arc<[u32]>, grad: FlexTensor) -> FlexTensor {
        let grad = Values::new(grad);
        let width = grad.last_dim();
        tensor(cpu::embedding::backward(rows, &ids, grad.slice(), width), [rows, width])
    }

    fn fused_attention_backward(
        q: FlexTensor,
        k: FlexTensor,
        v: FlexTensor,
        grad: FlexTensor,
        spec: AttentionSpec,
    ) -> [FlexTensor; 3] {
        let (q_shape, kv_shape) = (q.shape(), k.shape());
        let width = q_shape[0] / spec.lengths.len();
        let [q, k, v, grad] = [q, k, v, grad].map(Values::new);
        let grads =
            cpu::attention::backward(q.slice(), k.slice(), v.slice(), grad.slice(), width, &spec);
        [tensor(grads.q, q_shape), tensor(grads.k, kv_shape.clone()), tensor(grads.v, kv_shape)]
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
            head.slice(),
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
            head.slice(),
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
        Values::new(x).slice().iter().map(|value| f64::from(*value) * f64::from(*value)).sum()
    }
}
