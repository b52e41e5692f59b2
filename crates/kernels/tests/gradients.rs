//! Every fused operation against its composed form (values and gradients) and against finite
//! differences, over odd shapes.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use afterthought_kernels::{
    Activation, AttentionSpec, CrossAttentionSpec, DropoutMask, HeadLayout, LowRankSpec, Rotary,
    RotaryTable, composed, functions,
};
use burn::tensor::{Device, Tensor, TensorData};
use std::sync::Arc;

fn device() -> Device {
    Device::flex().autodiff()
}

/// Deterministic, irregular values in about [-1, 1].
fn values(count: usize, salt: usize) -> Vec<f32> {
    (0..count).map(|i| ((i * 7919 + salt * 104_729) as f32 * 0.618_034).sin()).collect()
}

fn matrix(rows: usize, cols: usize, salt: usize) -> Vec<f32> {
    values(rows * cols, salt)
}

/// An operation of several inputs (each rows x cols) to one output.
struct Case<'a> {
    name: String,
    shapes: Vec<[usize; 2]>,
    fused: &'a dyn Fn(&[Tensor<2>]) -> Tensor<2>,
    composed: &'a dyn Fn(&[Tensor<2>]) -> Tensor<2>,
}

fn inputs(case: &Case<'_>) -> Vec<Vec<f32>> {
    case.shapes.iter().enumerate().map(|(i, [r, c])| matrix(*r, *c, i + 1)).collect()
}

fn tensors(case: &Case<'_>, inputs: &[Vec<f32>]) -> Vec<Tensor<2>> {
    inputs
        .iter()
        .zip(&case.shapes)
        .map(|(v, shape)| {
            Tensor::from_data(TensorData::new(v.clone(), *shape), &device()).require_grad()
        })
        .collect()
}

/// A weighted sum, so that every output element has its own upstream gradient.
fn loss(output: Tensor<2>) -> Tensor<1> {
    let [rows, cols] = output.dims();
    let weights = TensorData::new(matrix(rows, cols, 99), [rows, cols]);
    (output.clone() * Tensor::from_data(weights, &output.device())).sum()
}

fn run(case: &Case<'_>, op: &dyn Fn(&[Tensor<2>]) -> Tensor<2>) -> (Vec<f32>, Vec<Vec<f32>>) {
    let tensors = tensors(case, &inputs(case));
    let output = op(&tensors);
    let grads = loss(output.clone()).backward();
    let gradients = tensors
        .iter()
        .map(|t| t.grad(&grads).expect("a gradient").into_data().try_to_vec::<f32>().unwrap())
        .collect();
    (output.into_data().try_to_vec::<f32>().unwrap(), gradients)
}

fn assert_close(name: &str, got: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(got.len(), expected.len(), "{name}");
    for (i, (g, e)) in got.iter().zip(expected).enumerate() {
        assert!((g - e).abs() <= tolerance * (1.0 + e.abs()), "{name}[{i}]: {g} against {e}");
    }
}

fn check(case: Case<'_>) {
    let (output, gradients) = run(&case, case.fused);
    let (expected, expected_gradients) = run(&case, case.composed);
    assert_close(&case.name, &output, &expected, 2e-5);
    for (i, (got, expected)) in gradients.iter().zip(&expected_gradients).enumerate() {
        assert_close(&format!("{} gradient {i}", case.name), got, expected, 1e-4);
    }
    // Central differences on a sample of the elements of each input.
    let base = inputs(&case);
    let step = 1e-2;
    for which in 0..base.len() {
        for element in (0..base[which].len()).step_by(base[which].len() / 5 + 1) {
            let at = |delta: f32| {
                let mut moved = base.clone();
                moved[which][element] += delta;
                f64::from(loss((case.fused)(&tensors(&case, &moved))).into_scalar::<f32>())
            };
            let slope = (at(step) - at(-step)) / f64::from(2.0 * step);
            let got = f64::from(gradients[which][element]);
            assert!(
                (got - slope).abs() < 2e-2 * (1.0 + slope.abs()),
                "{} input {which} element {element}: gradient {got}, difference {slope}",
                case.name
            );
        }
    }
}

const SIZES: [usize; 4] = [1, 7, 33, 127];

#[test]
fn linear() {
    for rows in SIZES {
        for (inputs, outputs) in [(1, 1), (7, 33), (33, 7)] {
            check(Case {
                name: format!("linear {rows}x{inputs}->{outputs}"),
                shapes: vec![[rows, inputs], [outputs, inputs]],
                fused: &|t| functions::linear(t[0].clone(), t[1].clone()),
                composed: &|t| composed::linear(t[0].clone(), t[1].clone()),
            });
        }
    }
}

#[test]
fn low_rank_terms_on_some_columns() {
    for rows in SIZES {
        let sizes: [(usize, usize, usize, [usize; 2]); 4] =
            [(1, 1, 1, [0, 0]), (7, 33, 3, [2, 5]), (33, 7, 16, [0, 9]), (40, 8, 2, [1, 0])];
        for (inputs, outputs, rank, [before, after]) in sizes {
            for dropped in [false, true] {
                let words: Vec<u32> = (0..rows * inputs.div_ceil(32))
                    .map(|i| (i as u32 + 1).wrapping_mul(0x9e37_79b9))
                    .collect();
                let mask = || Arc::new(DropoutMask::new(words.clone(), inputs, 0.25));
                let spec = LowRankSpec { first: before, scale: 0.7, dropout: dropped.then(mask) };
                let factors = |t: &[Tensor<2>]| [t[2].clone(), t[3].clone()];
                check(Case {
                    name: format!("low_rank_add {rows}x{inputs}->{outputs}, dropout {dropped}"),
                    shapes: vec![
                        [rows, before + outputs + after],
                        [rows, inputs],
                        [rank, inputs],
                        [outputs, rank],
                    ],
                    fused: &|t| {
                        let (y, x) = (t[0].clone(), t[1].clone());
                        functions::low_rank_add(y, x, factors(t), spec.clone())
                    },
                    composed: &|t| {
                        composed::low_rank_add(t[0].clone(), t[1].clone(), factors(t), &spec)
                    },
                });
            }
        }
    }
}

/// The term is written into its output's buffer only where nobody else reads it.
#[test]
fn a_low_rank_term_leaves_shared_outputs_alone() {
    let tensor = |[rows, cols]: [usize; 2], salt| {
        let data = TensorData::new(matrix(rows, cols, salt), [rows, cols]);
        Tensor::<2>::from_data(data, &Device::flex())
    };
    let (y, x) = (tensor([3, 5], 1), tensor([3, 4], 2));
    let factors = [tensor([2, 4], 3), tensor([5, 2], 4)];
    let spec = LowRankSpec { first: 0, scale: 1.0, dropout: None };
    let sum = functions::low_rank_add(y.clone(), x, factors, spec);
    assert_eq!(y.into_data().try_to_vec::<f32>().unwrap(), matrix(3, 5, 1));
    assert_ne!(sum.into_data().try_to_vec::<f32>().unwrap(), matrix(3, 5, 1));
}

#[test]
fn linear_layers_that_share_an_input() {
    for rows in SIZES {
        for (inputs, outputs) in [(1, [1, 1, 1]), (7, [33, 7, 1]), (33, [32, 64, 7])] {
            let [first, second, third] = outputs;
            check(Case {
                name: format!("linear_triple {rows}x{inputs}->{outputs:?}"),
                shapes: vec![[rows, inputs], [first, inputs], [second, inputs], [third, inputs]],
                fused: &|t| {
                    let weights = [t[1].clone(), t[2].clone(), t[3].clone()];
                    functions::linear_triple(t[0].clone(), weights)
                },
                composed: &|t| {
                    let weights = [t[1].clone(), t[2].clone(), t[3].clone()];
                    composed::linears(t[0].clone(), weights)
                },
            });
            check(Case {
                name: format!("linear_pair {rows}x{inputs}->{outputs:?}"),
                shapes: vec![[rows, inputs], [first, inputs], [third, inputs]],
                fused: &|t| functions::linear_pair(t[0].clone(), [t[1].clone(), t[2].clone()]),
                composed: &|t| composed::linears(t[0].clone(), [t[1].clone(), t[2].clone()]),
            });
            check(Case {
                name: format!("linear_add {rows}x{inputs}->{first}"),
                shapes: vec![[rows, inputs], [first, inputs], [rows, first]],
                fused: &|t| functions::linear_add(t[0].clone(), t[1].clone(), t[2].clone()),
                composed: &|t| t[2].clone() + composed::linear(t[0].clone(), t[1].clone()),
            });
        }
    }
}

#[test]
fn qk_norm() {
    for rows in SIZES {
        for (heads, kv_heads, head_dim) in [(1, 1, 7), (4, 2, 16), (3, 1, 33)] {
            let layout = HeadLayout { heads, kv_heads, head_dim };
            let norms = |t: &[Tensor<2>]| [1, 2].map(|i: usize| t[i].clone().squeeze_dim(0));
            check(Case {
                name: format!("qk_norm {rows} x {layout:?}"),
                shapes: vec![[rows, layout.width()], [1, head_dim], [1, head_dim]],
                fused: &|t| functions::qk_norm(t[0].clone(), norms(t), layout, 0.1),
                composed: &|t| composed::qk_norm(t[0].clone(), norms(t), layout, 0.1),
            });
        }
    }
}

#[test]
fn rms_norm() {
    for rows in SIZES {
        for width in [1, 7, 33, 127] {
            check(Case {
                name: format!("rms_norm {rows}x{width}"),
                shapes: vec![[rows, width], [1, width]],
                fused: &|t| functions::rms_norm(t[0].clone(), t[1].clone().squeeze_dim(0), 0.1),
                composed: &|t| composed::rms_norm(t[0].clone(), t[1].clone().squeeze_dim(0), 0.1),
            });
        }
    }
}

#[test]
fn gated() {
    use Activation::{Gelu, GeluTanh, Relu, Silu};
    for rows in SIZES {
        for activation in [Silu, Gelu, GeluTanh, Relu] {
            check(Case {
                name: format!("gated {activation:?} {rows}x33"),
                shapes: vec![[rows, 66]],
                fused: &|t| functions::gated(t[0].clone(), activation),
                composed: &|t| composed::gated(t[0].clone(), activation),
            });
        }
    }
}

#[test]
fn embedding() {
    for count in SIZES {
        let ids: Arc<[u32]> = (0..count).map(|i| (i * i % 5) as u32).collect();
        let again = ids.clone();
        check(Case {
            name: format!("embedding of {count} ids"),
            shapes: vec![[5, 9]],
            fused: &move |t| functions::embedding(t[0].clone(), ids.clone()),
            composed: &move |t| composed::embedding(t[0].clone(), &again),
        });
    }
}

#[test]
fn token_log_prob() {
    let small = SIZES.into_iter().flat_map(|rows| [1, 7, 127].map(|vocab| (rows, vocab)));
    // More tokens, and more rows, than are computed together.
    for (rows, vocab) in small.chain([(5, 20_000), (1100, 8300)]) {
        let targets: Arc<[u32]> = (0..rows).map(|i| (i * 7919 % vocab) as u32).collect();
        // Any token that is no target may be excluded.
        let excluded: Arc<[u32]> =
            (0..vocab as u32).filter(|t| !targets.contains(t)).take(2).collect();
        let (again, excluded_again) = (targets.clone(), excluded.clone());
        check(Case {
            name: format!("token_log_prob {rows} of {vocab}"),
            shapes: vec![[rows, 9], [vocab, 9]],
            fused: &move |t| {
                let (hidden, head) = (t[0].clone(), t[1].clone());
                functions::token_log_prob(hidden, head, targets.clone(), excluded.clone())
                    .unsqueeze()
            },
            composed: &move |t| {
                let (hidden, head) = (t[0].clone(), t[1].clone());
                composed::token_log_prob(hidden, head, &again, &excluded_again).unsqueeze()
            },
        });
    }
}

#[test]
fn attention() {
    for (rows, width) in [(1, 1), (2, 7), (3, 33), (1, 127usize)] {
        for (heads, kv_heads, head_dim) in
            [(1, 1, 16), (4, 2, 6), (3, 3, 32), (6, 1, 8), (2, 1, 128)]
        {
            for (causal, window) in
                [(false, None), (true, None), (true, Some(1)), (true, Some(5)), (true, Some(70))]
            {
                for rotary in [false, true] {
                    let layout = HeadLayout { heads, kv_heads, head_dim };
                    let lengths: Vec<usize> =
                        (0..rows).map(|row| width - (row * 5) % width.div_ceil(2)).collect();
                    let table = |theta, positions| {
                        Arc::new(RotaryTable::standard(theta, head_dim, positions))
                    };
                    // Rows that differ in their frequencies, and tables no longer than the rows.
                    let rows_of = |lengths: &[usize]| {
                        let tables = lengths.iter().map(|len| table(90.0 + *len as f64, *len));
                        Rotary::Rows(tables.collect())
                    };
                    let rotary = rotary.then(|| match window {
                        Some(_) => rows_of(&lengths),
                        None => table(100.0, width + 3).into(),
                    });
                    let name = format!(
                        "attention {rows}x{width} {layout:?} {causal} {window:?} {}",
                        rotary.is_some()
                    );
                    let (scale, lengths) = (layout.scale(), lengths.into());
                    let spec = AttentionSpec { layout, causal, window, scale, rotary, lengths };
                    let again = spec.clone();
                    check(Case {
                        name,
                        shapes: vec![[rows * width, layout.width()]],
                        fused: &move |t| functions::attention(t[0].clone(), spec.clone()),
                        composed: &move |t| composed::attention(t[0].clone(), None, &again),
                    });
                }
            }
        }
    }
}

#[test]
fn biased_attention() {
    for (rows, width) in [(1, 1), (2, 7), (11, 33usize)] {
        for (heads, kv_heads, head_dim) in [(1, 1, 16), (4, 2, 6)] {
            for causal in [false, true] {
                let layout = HeadLayout { heads, kv_heads, head_dim };
                let lengths = (0..rows).map(|row| width - (row * 5) % width.div_ceil(2)).collect();
                let spec = AttentionSpec {
                    layout,
                    causal,
                    window: causal.then_some(3),
                    scale: 0.7,
                    rotary: None,
                    lengths,
                };
                let again = spec.clone();
                check(Case {
                    name: format!("biased attention {rows}x{width} {layout:?} {causal}"),
                    shapes: vec![[rows * width, layout.width()], [heads * width, width]],
                    fused: &move |t| {
                        functions::biased_attention(t[0].clone(), t[1].clone(), spec.clone())
                    },
                    composed: &move |t| {
                        composed::attention(t[0].clone(), Some(t[1].clone()), &again)
                    },
                });
            }
        }
    }
}

#[test]
fn attention_with_a_learned_relative_bias() {
    for (rows, width) in [(1, 1), (2, 7), (11, 33usize)] {
        for causal in [false, true] {
            let layout = HeadLayout { heads: 3, kv_heads: 3, head_dim: 6 };
            let lengths = (0..rows).map(|row| width - (row * 5) % width.div_ceil(2)).collect();
            let spec =
                AttentionSpec { layout, causal, window: None, scale: 1.0, rotary: None, lengths };
            let again = spec.clone();
            let distance = |at: usize| (at / width).abs_diff(at % width).min(4);
            let buckets: Arc<[u32]> = (0..width * width).map(|at| distance(at) as u32).collect();
            let entries = buckets.clone();
            check(Case {
                name: format!("relative bias {rows}x{width} {causal}"),
                shapes: vec![[rows * width, layout.width()], [5, 3]],
                fused: &move |t| {
                    let bias = functions::bucketed_bias(t[1].clone(), buckets.clone());
                    functions::biased_attention(t[0].clone(), bias, spec.clone())
                },
                // Each head's bias picked from the table one by one.
                composed: &move |t| {
                    let column = |head: usize| {
                        let values = composed::embedding(t[1].clone(), &entries);
                        values.narrow(1, head, 1).reshape([width, width])
                    };
                    let bias = Tensor::cat((0..3).map(column).collect(), 0);
                    composed::attention(t[0].clone(), Some(bias), &again)
                },
            });
        }
    }
}

#[test]
fn cross_attention() {
    for (rows, width, key_width) in [(1, 1, 1), (3, 7, 2), (2, 5, 41), (2, 70, 33usize)] {
        for (heads, kv_heads, head_dim) in [(1, 1, 16), (3, 3, 7), (4, 2, 32)] {
            let layout = HeadLayout { heads, kv_heads, head_dim };
            let lengths = |width: usize, step: usize| {
                (0..rows).map(|row| width - (row * step) % width.div_ceil(2)).collect()
            };
            let spec = CrossAttentionSpec {
                layout,
                scale: 0.6,
                lengths: lengths(width, 3),
                key_lengths: lengths(key_width, 5),
            };
            let again = spec.clone();
            check(Case {
                name: format!("cross attention {rows}x{width}x{key_width} {layout:?}"),
                shapes: vec![
                    [rows * width, layout.keys()],
                    [rows * key_width, layout.keys_values()],
                ],
                fused: &move |t| {
                    functions::cross_attention(t[0].clone(), t[1].clone(), spec.clone())
                },
                composed: &move |t| composed::cross_attention(t[0].clone(), t[1].clone(), &again),
            });
        }
    }
}

#[test]
fn queries_without_keys_attend_to_nothing() {
    let layout = HeadLayout { heads: 2, kv_heads: 2, head_dim: 8 };
    let spec = CrossAttentionSpec {
        layout,
        scale: 1.0,
        lengths: [3, 0].into(),
        key_lengths: [0, 4].into(),
    };
    let again = spec.clone();
    check(Case {
        name: "cross attention without keys or queries".into(),
        shapes: vec![[6, 16], [8, 32]],
        fused: &move |t| functions::cross_attention(t[0].clone(), t[1].clone(), spec.clone()),
        composed: &move |t| composed::cross_attention(t[0].clone(), t[1].clone(), &again),
    });
}

#[test]
fn frozen_inputs_get_no_gradient() {
    let tensor = |rows, cols| {
        Tensor::<2>::from_data(TensorData::new(matrix(rows, cols, 3), [rows, cols]), &device())
    };
    let (x, frozen) = (tensor(5, 4).require_grad(), tensor(3, 4));
    let grads = functions::linear(x.clone(), frozen.clone()).sum().backward();
    assert!(x.grad(&grads).is_some());
    assert!(frozen.grad(&grads).is_none());
}

#[test]
#[should_panic(expected = "an empty or ragged batch")]
fn empty_batches_are_refused() {
    let empty = || Tensor::<2>::zeros([0, 12], &device());
    let layout = HeadLayout { heads: 1, kv_heads: 1, head_dim: 4 };
    let lengths = Arc::new([]);
    let spec =
        AttentionSpec { layout, causal: false, window: None, scale: 1.0, rotary: None, lengths };
    let _ = functions::attention(empty(), spec);
}

#[test]
fn adamw_matches_its_definition() {
    use afterthought_kernels::{AdamWStep, adamw};
    let device = Device::flex();
    let tensor = |v: Vec<f32>| Tensor::<1>::from_data(TensorData::new(v, [37]), &device);
    let (p, g) = (values(37, 1), values(37, 2));
    let (beta_1, beta_2, lr, wd, eps, scale) = (0.9f32, 0.99f32, 0.01f32, 0.1f32, 1e-8f32, 0.5f32);
    let (mut parameter, mut moments) =
        (tensor(p.clone()), [tensor(vec![0.0; 37]), tensor(vec![0.0; 37])]);
    let (mut expected, mut m, mut v) = (p, vec![0.0f32; 37], vec![0.0f32; 37]);
    for t in 1..4 {
        let step = AdamWStep {
            learning_rate: lr,
            beta_1,
            beta_2,
            epsilon: eps,
            weight_decay: wd,
            first_correction: 1.0 - beta_1.powi(t),
            second_correction: 1.0 - beta_2.powi(t),
            grad_scale: scale,
        };
        (parameter, moments) = adamw(parameter, tensor(g.clone()), moments, step);
        for i in 0..37 {
            let g = g[i] * scale;
            m[i] = beta_1 * m[i] + (1.0 - beta_1) * g;
            v[i] = beta_2 * v[i] + (1.0 - beta_2) * g * g;
            let direction =
                m[i] / step.first_correction / ((v[i] / step.second_correction).sqrt() + eps);
            expected[i] = expected[i] * (1.0 - lr * wd) - lr * direction;
        }
    }
    assert_close("adamw", &parameter.into_data().try_to_vec::<f32>().unwrap(), &expected, 1e-5);
}
