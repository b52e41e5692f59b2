//! A low-rank term on some columns of a linear layer's output, and its gradients. Always in f32:
//! its products are a small part of the layer's.

use super::buffer::unfilled;
use super::tiled::{F32, linear};
use super::weight::Weight;
use crate::low_rank::{DropoutMask, LowRankGradients, LowRankKept, LowRankSpec};
use rayon::prelude::*;
use std::borrow::Cow;

/// `A` (`[rank, inputs]`) and `B` (`[outputs, rank]`).
#[derive(Clone, Copy)]
pub(crate) struct Factors<'a> {
    pub(crate) a: &'a [f32],
    pub(crate) b: &'a [f32],
    pub(crate) rank: usize,
}

impl Factors<'_> {
    fn inputs(&self) -> usize {
        self.a.len() / self.rank
    }

    fn outputs(&self) -> usize {
        self.b.len() / self.rank
    }
}

fn dropped<'a>(x: &'a [f32], mask: Option<&DropoutMask>) -> Cow<'a, [f32]> {
    match mask {
        None => Cow::Borrowed(x),
        Some(mask) => {
            let mut x = x.to_vec();
            mask.apply(&mut x);
            Cow::Owned(x)
        }
    }
}

/// Adds `scale * (dropout(x) A^T) B^T` to columns of `y`, rows of `stride` values. Returns
/// `dropout(x) A^T`.
pub(crate) fn forward(
    y: &mut [f32],
    stride: usize,
    x: &[f32],
    factors: Factors<'_>,
    spec: &LowRankSpec,
) -> Vec<f32> {
    let (inputs, outputs) = (factors.inputs(), factors.outputs());
    assert_eq!(y.len() / stride, x.len() / inputs, "input and output rows");
    let x = dropped(x, spec.dropout.as_deref());
    let inner = linear::forward::<F32>(&x, &[Weight::F32(factors.a)], inputs, None);
    let term = linear::forward::<F32>(&inner, &[Weight::F32(factors.b)], factors.rank, None);
    y.par_chunks_exact_mut(stride).zip(term.par_chunks_exact(outputs)).with_min_len(16).for_each(
        |(y, term)| {
            for (y, term) in y[spec.first..].iter_mut().zip(term) {
                *y += spec.scale * term;
            }
        },
    );
    inner
}

/// `grad`: rows of `stride` values, the gradient of the whole output. With `g = scale * dy` and
/// `u = g B`: `dA = u^T dropout(x)`, `dx = dropout'(u A)`, `dB = g^T (dropout(x) A^T)`.
pub(crate) fn backward(
    kept: LowRankKept<&[f32]>,
    rank: usize,
    grad: &[f32],
    stride: usize,
    spec: &LowRankSpec,
) -> LowRankGradients<Vec<f32>> {
    let factors = Factors { a: kept.a, b: kept.b, rank };
    let (inputs, outputs) = (factors.inputs(), factors.outputs());
    let mask = spec.dropout.as_deref();
    let mut own = unfilled(grad.len() / stride * outputs);
    own.par_chunks_exact_mut(outputs).zip(grad.par_chunks_exact(stride)).with_min_len(16).for_each(
        |(own, grad)| {
            for (own, grad) in own.iter_mut().zip(&grad[spec.first..]) {
                *own = spec.scale * grad;
            }
        },
    );
    let inner_grad = match kept.x.is_some() || kept.want_x {
        true => linear::backward_input::<F32>(&[Weight::F32(factors.b)], &own, rank),
        false => Vec::new(),
    };
    let weight_gradient = |x: &[f32], grad: &[f32], inputs: usize, outputs: usize| {
        linear::backward_weights::<F32>(x, grad, inputs, &[outputs]).remove(0)
    };
    LowRankGradients {
        x: kept.want_x.then(|| {
            let weights = [Weight::F32(factors.a)];
            let mut grad_x = linear::backward_input::<F32>(&weights, &inner_grad, inputs);
            if let Some(mask) = mask {
                mask.apply(&mut grad_x);
            }
            grad_x
        }),
        a: kept.x.map(|x| weight_gradient(&dropped(x, mask), &inner_grad, inputs, rank)),
        b: kept.inner.map(|inner| weight_gradient(inner, &own, rank, outputs)),
    }
}
