//! One AdamW update (Loshchilov & Hutter 2019) in one pass over parameter, gradient and moments.

use super::simd::vectorised;
use crate::optimizer::AdamWStep;
use rayon::prelude::*;

/// Values of a task.
const CHUNK: usize = 1 << 14;

/// Updates the parameter and its moments in place.
pub(crate) fn update(
    parameter: &mut [f32],
    grad: &[f32],
    first: &mut [f32],
    second: &mut [f32],
    step: AdamWStep,
) {
    let len = parameter.len();
    assert!(grad.len() == len && first.len() == len && second.len() == len, "one value a weight");
    parameter
        .par_chunks_mut(CHUNK)
        .zip(grad.par_chunks(CHUNK))
        .zip(first.par_chunks_mut(CHUNK).zip(second.par_chunks_mut(CHUNK)))
        .for_each(|((parameter, grad), (first, second))| {
            update_chunk(parameter, grad, first, second, step);
        });
}

/// Sum of squares in f64: chunks summed side by side, then in their order.
pub(crate) fn sum_of_squares(x: &[f32]) -> f64 {
    let sums: Vec<f64> = x.par_chunks(CHUNK).map(sum_of_squares_chunk).collect();
    sums.iter().sum()
}

vectorised! {
    fn sum_of_squares_chunk(x: &[f32]) -> f64 {
        let mut lanes = [0.0f64; 8];
        let (chunks, rest) = x.as_chunks::<8>();
        for chunk in chunks {
            for lane in 0..8 {
                let value = f64::from(chunk[lane]);
                lanes[lane] += value * value;
            }
        }
        let rest: f64 = rest.iter().map(|value| f64::from(*value) * f64::from(*value)).sum();
        lanes.iter().sum::<f64>() + rest
    }
}

vectorised! {
    fn update_chunk(
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
