//! Weights stored in bf16 give what the same values stored in f32 give, in both precisions. In a
//! file of its own, because the precision is one choice for the whole process.
#![allow(clippy::unwrap_used, clippy::print_stderr, missing_docs)]

use afterthought_kernels::{Precision, functions, narrowed, set_precision, widened};
use burn::tensor::{DType, Device, Tensor, TensorData};
use std::sync::Arc;

/// Values that bf16 holds.
fn halves(rows: usize, cols: usize, salt: usize) -> Tensor<2> {
    let values: Vec<f32> = (0..rows * cols)
        .map(|i| ((i * 7919 + salt * 104_729) as f32 * 0.618_034).sin())
        .map(|value| f32::from_bits(value.to_bits() & 0xffff_0000))
        .collect();
    Tensor::from_data(TensorData::new(values, [rows, cols]), &Device::flex())
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec().unwrap()
}

/// Output, and gradient of the input, of an operation on weights of the given shapes.
fn run(
    operation: &dyn Fn(Tensor<2>, &[Tensor<2>]) -> Tensor<2>,
    x: &Tensor<2>,
    weights: &[Tensor<2>],
) -> [Vec<f32>; 2] {
    let x = x.clone().autodiff().require_grad();
    let weights: Vec<Tensor<2>> = weights.iter().map(|weight| weight.clone().autodiff()).collect();
    let output = operation(x.clone(), &weights);
    let [rows, cols] = output.dims();
    let gradients = (output.clone() * halves(rows, cols, 9).autodiff()).sum().backward();
    [values(output), x.grad(&gradients).map(values).unwrap()]
}

fn assert_close(name: &str, got: &[f32], expected: &[f32]) {
    assert_eq!(got.len(), expected.len(), "{name}");
    for (i, (got, expected)) in got.iter().zip(expected).enumerate() {
        assert!((got - expected).abs() <= 1e-5 * (1.0 + expected.abs()), "{name}[{i}]: {got}");
    }
}

#[test]
fn stored_bf16_is_used_as_it_is() {
    type Operation = Box<dyn Fn(Tensor<2>, &[Tensor<2>]) -> Tensor<2>>;
    /// Name, shape of the input, shapes of the weights.
    type Case = (&'static str, [usize; 2], Vec<[usize; 2]>, Operation);
    let targets: Arc<[u32]> = vec![3, 130_000, 8_999, 131_071, 7].into();
    let ids: Arc<[u32]> = vec![4, 0, 4].into();
    let cases: Vec<Case> = vec![
        ("linear", [5, 70], vec![[33, 70]], Box::new(|x, w| functions::linear(x, w[0].clone()))),
        (
            "linear_add",
            [40, 33],
            vec![[33, 33]],
            Box::new(|x, w| functions::linear_add(x.clone(), w[0].clone(), x)),
        ),
        (
            "linear_triple",
            [7, 64],
            vec![[64, 64], [32, 64], [1, 64]],
            Box::new(|x, w| functions::linear_triple(x, [0, 1, 2].map(|i| w[i].clone()))),
        ),
        (
            "embedding",
            [3, 20],
            vec![[5, 20]],
            Box::new(move |x, w| x + functions::embedding(w[0].clone(), ids.clone())),
        ),
        (
            // Larger than what is turned into f32 at once.
            "token_log_prob",
            [5, 72],
            vec![[131_072, 72]],
            Box::new(move |x, w| {
                let excluded = vec![5].into();
                functions::token_log_prob(x, w[0].clone(), targets.clone(), excluded).unsqueeze()
            }),
        ),
    ];
    for precision in [Precision::F32, Precision::Bf16] {
        if set_precision(precision).is_err() {
            eprintln!("skipped: this processor cannot multiply bf16 matrices");
            continue;
        }
        for (name, [rows, cols], shapes, operation) in &cases {
            let x = halves(*rows, *cols, 1);
            let wide: Vec<_> =
                shapes.iter().enumerate().map(|(i, [r, c])| halves(*r, *c, i + 2)).collect();
            let narrow: Vec<_> = wide.iter().cloned().map(narrowed).collect();
            assert!(narrow.iter().all(|weight| weight.dtype() == DType::BF16));
            let (got, expected) = (run(operation, &x, &narrow), run(operation, &x, &wide));
            for (got, expected) in got.iter().zip(&expected) {
                assert_close(&format!("{name} in {precision}"), got, expected);
            }
        }
    }
}

#[test]
fn only_what_bf16_holds_is_stored_so() {
    let odd = halves(2, 2, 1) + 1e-4;
    assert_eq!(narrowed(odd.clone()).dtype(), DType::F32);
    let exact = halves(3, 5, 1);
    let narrow = narrowed(exact.clone());
    assert_eq!(narrow.dtype(), DType::BF16);
    assert_eq!(values(widened(narrow)), values(exact));
}
