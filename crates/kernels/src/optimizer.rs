//! The AdamW update on tensors.

use crate::functions::fused;
use crate::ops::KernelGradients;
use burn::backend::Flex;
use burn::tensor::Tensor;

/// Scalars of one AdamW step (Loshchilov & Hutter 2019, algorithm 2).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamWStep {
    /// Step size of this update, schedule included.
    pub learning_rate: f32,
    /// Decay of the first moment.
    pub beta_1: f32,
    /// Decay of the second moment.
    pub beta_2: f32,
    /// Added to the root of the second moment.
    pub epsilon: f32,
    /// Decoupled weight decay.
    pub weight_decay: f32,
    /// `1 - beta_1^t`.
    pub first_correction: f32,
    /// `1 - beta_2^t`.
    pub second_correction: f32,
    /// Factor on the gradient (global-norm clipping).
    pub grad_scale: f32,
}

/// Applies `step` to a parameter; returns the new parameter and moments. None of the tensors may
/// be tracked by autodiff.
pub fn adamw<const D: usize>(
    parameter: Tensor<D>,
    grad: Tensor<D>,
    [first, second]: [Tensor<D>; 2],
    step: AdamWStep,
) -> (Tensor<D>, [Tensor<D>; 2]) {
    if fused(&parameter) {
        let primitive = |tensor: Tensor<D>| {
            // The device was just checked to be the CPU backend's, without autodiff.
            #[expect(clippy::expect_used)]
            tensor.try_into_primitive::<Flex>().expect("a CPU tensor")
        };
        let (parameter, [first, second]) = <Flex as KernelGradients>::adamw(
            primitive(parameter),
            primitive(grad),
            [primitive(first), primitive(second)],
            step,
        );
        let tensor = Tensor::from_primitive::<Flex>;
        return (tensor(parameter), [tensor(first), tensor(second)]);
    }
    let grad = grad * step.grad_scale;
    let first = first * step.beta_1 + grad.clone() * (1.0 - step.beta_1);
    let second = second * step.beta_2 + grad.powf_scalar(2.0) * (1.0 - step.beta_2);
    let direction = first.clone()
        / step.first_correction
        / ((second.clone() / step.second_correction).sqrt() + step.epsilon);
    let parameter =
        parameter * (1.0 - step.learning_rate * step.weight_decay) - direction * step.learning_rate;
    (parameter, [first, second])
}

/// Sum of squares of a tensor, in f64 on the CPU backend.
pub fn sum_of_squares<const D: usize>(x: Tensor<D>) -> f64 {
    if fused(&x) {
        #[expect(clippy::expect_used, reason = "the device was just checked")]
        let x = x.try_into_primitive::<Flex>().expect("a CPU tensor");
        return <Flex as KernelGradients>::sum_of_squares(x);
    }
    f64::from(x.powf_scalar(2.0).sum().into_scalar::<f32>())
}
