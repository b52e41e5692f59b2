//! bf16 against the composed f32 operations, and both precisions over thread counts. In a file of
//! its own, because the precision is one choice for the whole process.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, missing_docs)]

use afterthought_kernels::{
    AttentionSpec, CrossAttentionSpec, HeadLayout, Precision, RotaryTable, composed, functions,
    set_precision,
};
use burn::tensor::{Device, Tensor, TensorData};
use std::sync::Arc;

/// The tests of this file take turns: they change the precision.
static TURN: std::sync::Mutex<()> = std::sync::Mutex::new(());

fn values(count: usize, salt: usize) -> Vec<f32> {
    (0..count).map(|i| ((i * 7919 + salt * 104_729) as f32 * 0.618_034).sin()).collect()
}

type Operation = Box<dyn Fn(&[Tensor<2>]) -> Tensor<2> + Send + Sync>;

struct Case {
    name: String,
    shapes: Vec<[usize; 2]>,
    fused: Operation,
    composed: Operation,
}

/// Output and gradients of a weighted sum of it.
fn run(case: &Case, operation: &Operation) -> Vec<Vec<f32>> {
    let device = Device::flex().autodiff();
    let tensor = |(salt, [rows, cols]): (usize, &[usize; 2])| {
        let data = TensorData::new(values(rows * cols, salt + 1), [*rows, *cols]);
        Tensor::<2>::from_data(data, &device).require_grad()
    };
    let inputs: Vec<Tensor<2>> = case.shapes.iter().enumerate().map(tensor).collect();
    let output = operation(&inputs);
    let [rows, cols] = output.dims();
    let weights = TensorData::new(values(rows * cols, 99), [rows, cols]);
    let grads = (output.clone() * Tensor::from_data(weights, &device)).sum().backward();
    let host = |tensor: Tensor<2>| tensor.into_data().try_to_vec::<f32>().unwrap();
    let mut results = vec![host(output)];
    results.extend(inputs.iter().map(|input| host(input.grad(&grads).expect("a gradient"))));
    results
}

fn attention(rows: usize, width: usize, layout: HeadLayout, causal: bool) -> Case {
    let rotary = Some(Arc::new(RotaryTable::standard(100.0, layout.head_dim, width)).into());
    // Half of the cases see a part of what is before them.
    let window = causal.then_some(width.div_ceil(2));
    let lengths = (0..rows).map(|row| width - (row * 5) % width.div_ceil(2)).collect();
    let spec = AttentionSpec { layout, causal, window, scale: layout.scale(), rotary, lengths };
    let again = spec.clone();
    Case {
        name: format!("attention {rows} x {width} {layout:?} causal: {causal}"),
        shapes: vec![[rows * width, layout.width()]],
        fused: Box::new(move |t| functions::attention(t[0].clone(), spec.clone())),
        composed: Box::new(move |t| composed::attention(t[0].clone(), None, &again)),
    }
}

fn biased_attention(rows: usize, width: usize, layout: HeadLayout) -> Case {
    let lengths = (0..rows).map(|row| width - (row * 5) % width.div_ceil(2)).collect();
    let spec = AttentionSpec {
        layout,
        causal: false,
        window: None,
        scale: layout.scale(),
        rotary: None,
        lengths,
    };
    let again = spec.clone();
    Case {
        name: format!("biased attention {rows} x {width} {layout:?}"),
        shapes: vec![[rows * width, layout.width()], [layout.heads * width, width]],
        fused: Box::new(move |t| {
            functions::biased_attention(t[0].clone(), t[1].clone(), spec.clone())
        }),
        composed: Box::new(move |t| composed::attention(t[0].clone(), Some(t[1].clone()), &again)),
    }
}

fn cross_attention(rows: usize, width: usize, key_width: usize, layout: HeadLayout) -> Case {
    let lengths = |width: usize| {
        (0..rows).map(|row| width - (row * 5) % width.div_ceil(2)).collect::<Arc<[usize]>>()
    };
    let (lengths, key_lengths) = (lengths(width), lengths(key_width));
    let spec = CrossAttentionSpec { layout, scale: layout.scale(), lengths, key_lengths };
    let again = spec.clone();
    Case {
        name: format!("cross attention {rows} x {width} x {key_width} {layout:?}"),
        shapes: vec![[rows * width, layout.keys()], [rows * key_width, layout.keys_values()]],
        fused: Box::new(move |t| {
            functions::cross_attention(t[0].clone(), t[1].clone(), spec.clone())
        }),
        composed: Box::new(move |t| composed::cross_attention(t[0].clone(), t[1].clone(), &again)),
    }
}

fn token_log_prob(rows: usize, width: usize, vocab: usize) -> Case {
    let targets: Arc<[u32]> = (0..rows).map(|i| (i * 31 % vocab) as u32).collect();
    let excluded: Arc<[u32]> =
        (0..vocab as u32).filter(|token| !targets.contains(token)).take(2).collect();
    let (again, excluded_again) = (targets.clone(), excluded.clone());
    Case {
        name: format!("token_log_prob {rows} x {width} of {vocab}"),
        shapes: vec![[rows, width], [vocab, width]],
        fused: Box::new(move |t| {
            let (hidden, head) = (t[0].clone(), t[1].clone());
            functions::token_log_prob(hidden, head, targets.clone(), excluded.clone()).unsqueeze()
        }),
        composed: Box::new(move |t| {
            composed::token_log_prob(t[0].clone(), t[1].clone(), &again, &excluded_again)
                .unsqueeze()
        }),
    }
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for rows in [1, 7, 33, 127, 600] {
        for (inputs, outputs) in [(7, [33, 1, 127]), (96, [96, 96, 32]), (127, [64, 7, 33])] {
            let [first, second, third] = outputs;
            cases.push(Case {
                name: format!("linear_triple {rows} x {inputs} -> {outputs:?}"),
                shapes: vec![[rows, inputs], [first, inputs], [second, inputs], [third, inputs]],
                fused: Box::new(|t| {
                    let weights = [t[1].clone(), t[2].clone(), t[3].clone()];
                    functions::linear_triple(t[0].clone(), weights)
                }),
                composed: Box::new(|t| {
                    let weights = [t[1].clone(), t[2].clone(), t[3].clone()];
                    composed::linears(t[0].clone(), weights)
                }),
            });
            cases.push(Case {
                name: format!("linear_add {rows} x {inputs} -> {first}"),
                shapes: vec![[rows, inputs], [first, inputs], [rows, first]],
                fused: Box::new(|t| {
                    functions::linear_add(t[0].clone(), t[1].clone(), t[2].clone())
                }),
                composed: Box::new(|t| t[2].clone() + composed::linear(t[0].clone(), t[1].clone())),
            });
        }
    }
    for (rows, width) in [(1, 1), (3, 7), (2, 33), (2, 127), (1, 160)] {
        for (heads, kv_heads, head_dim) in [(1, 1, 16), (4, 2, 32), (3, 1, 48), (2, 2, 128)] {
            let layout = HeadLayout { heads, kv_heads, head_dim };
            cases.extend([false, true].map(|causal| attention(rows, width, layout, causal)));
            cases.push(biased_attention(rows, width, layout));
            cases.push(cross_attention(rows, width, 1 + 70 % (width + 3), layout));
            cases.push(cross_attention(rows, width.div_ceil(3), width, layout));
        }
    }
    for (rows, width, vocab) in
        [(1, 7, 7), (7, 33, 1), (33, 32, 127), (127, 96, 103), (300, 64, 9000), (2100, 32, 65)]
    {
        cases.push(token_log_prob(rows, width, vocab));
    }
    cases
}

#[test]
fn bf16_agrees_with_f32_to_its_rounding() {
    let _turn = TURN.lock();
    for case in cases() {
        let expected = run(&case, &case.composed);
        if set_precision(Precision::Bf16).is_err() {
            eprintln!("skipped: the processor cannot multiply bf16 matrices");
            return;
        }
        let got = run(&case, &case.fused);
        set_precision(Precision::F32).unwrap();
        for (index, (got, expected)) in got.iter().zip(&expected).enumerate() {
            assert_eq!(got.len(), expected.len());
            // Relative to the size of the whole result: a factor is rounded by at most 2^-9, but
            // the terms of a sum may cancel.
            let size =
                |values: &[f32]| values.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
            let error: Vec<f32> = got.iter().zip(expected).map(|(g, e)| g - e).collect();
            let (error, scale) = (size(&error), size(expected));
            assert!(error <= 0.04 * scale + 1e-5, "{} {index}: {error} of {scale}", case.name);
        }
    }
}

#[test]
fn the_number_of_threads_does_not_matter() {
    let _turn = TURN.lock();
    for precision in [Precision::F32, Precision::Bf16] {
        if set_precision(precision).is_err() {
            eprintln!("skipped: the processor cannot multiply bf16 matrices");
            continue;
        }
        for case in cases() {
            let in_pool = |threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| run(&case, &case.fused))
            };
            let one = in_pool(1);
            assert!(one == in_pool(2) && one == in_pool(3), "{} in {precision}", case.name);
        }
    }
    set_precision(Precision::F32).unwrap();
}
