//! One AdamW update (Loshchilov & Hutter 2019) in one pass over parameter, gradient and moments.

use super::simd::vectorised;
use crate::optimizer::AdamWStep;

vectorised! {
    pub(crate) fn update(
        parameter: &mut [f32],
        grad: &[f32],
        first: &mut [f32],
        second: &mut [f32],
        step: AdamWStep,
    ) {
        let decay = 1.0 - step.learning_rate * step.weight_decay;
        let rate = step.learning_rate / step.first_correction;
        let second_scale = 1.0 / step.second_correction;
        let moments = first.iter_mut().zip(second.iter_mut());
        for ((p, g), (m, v)) in parameter.iter_mut().zip(grad).zip(moments) {
            let g = g * step.grad_scale;
            *m += (g - *m) * (1.0 - step.beta_1);
            *v += (g * g - *v) * (1.0 - step.beta_2);
            *p = *p * decay - rate * *m / ((*v * second_scale).sqrt() + step.epsilon);
        }
    }
}
