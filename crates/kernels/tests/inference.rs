//! Packed products against their definition, and a row alone against the row in a batch.
#![allow(clippy::unwrap_used, missing_docs, clippy::print_stderr)]

use afterthought_kernels::inference::{
    Epilogue, Operand, PackedLinear, StoredWeight, largest, sums_of_exp,
};
use afterthought_kernels::{Activation, Precision};
use half::bf16;

fn values(len: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_769).wrapping_add(1);
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / 8_388_608.0 - 1.0
    };
    (0..len).map(|_| next()).collect()
}

fn precisions() -> Vec<Precision> {
    if Precision::fastest() == Precision::F32 {
        eprintln!("bf16 skipped: the processor has no instructions for it");
        return vec![Precision::F32];
    }
    vec![Precision::F32, Precision::Bf16]
}

/// The nearest bf16 value, by distance.
fn rounded(value: f32, precision: Precision) -> f64 {
    if precision == Precision::F32 {
        return f64::from(value);
    }
    let below = value.to_bits() & 0xffff_0000;
    let distance = |bits| (f64::from(value) - f64::from(f32::from_bits(bits))).abs();
    let (down, up) = (distance(below), distance(below + 0x1_0000));
    let above = up < down || (up == down && below & 0x1_0000 != 0);
    f64::from(f32::from_bits(if above { below + 0x1_0000 } else { below }))
}

fn product(x: &[f32], weight: &[f32], inputs: usize, precision: Precision) -> Vec<f64> {
    let round = |values: &[f32]| -> Vec<f64> {
        values.iter().map(|value| rounded(*value, precision)).collect()
    };
    let (x, weight) = (round(x), round(weight));
    x.chunks_exact(inputs)
        .flat_map(|x| {
            weight.chunks_exact(inputs).map(|w| x.iter().zip(w).map(|(x, w)| x * w).sum())
        })
        .collect()
}

fn assert_close(actual: &[f32], expected: &[f64], what: &str) {
    assert_eq!(actual.len(), expected.len(), "{what}");
    for (index, (a, e)) in actual.iter().zip(expected).enumerate() {
        assert!((f64::from(*a) - e).abs() < 1e-4 * (1.0 + e.abs()), "{what} [{index}]: {a}, {e}");
    }
}

const SHAPES: [(usize, usize, usize); 9] = [
    (1, 1, 1),
    (1, 96, 256),
    (7, 33, 127),
    (13, 127, 7),
    (16, 64, 64),
    (17, 65, 33),
    (64, 128, 352),
    (127, 7, 33),
    (300, 512, 96),
];

/// Activations and their definitions.
/// An activation and its definition.
type Defined = (Activation, fn(f64) -> f64);

const FUNCTIONS: [Defined; 3] = [
    (Activation::Relu, |x| x.max(0.0)),
    (Activation::Silu, |x| x / (1.0 + (-x).exp())),
    (Activation::GeluTanh, |x| {
        let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3));
        0.5 * x * (1.0 + inner.tanh())
    }),
];

#[test]
fn products_and_what_is_done_with_them() {
    for precision in precisions() {
        let mut operand = Operand::default();
        for (rows, inputs, outputs) in SHAPES {
            let what = format!("{precision} {rows} x {inputs} x {outputs}");
            let (x, weight) = (values(rows * inputs, 1), values(outputs * inputs, 2));
            let expected = product(&x, &weight, inputs, precision);
            let packed = PackedLinear::new(&weight[..], inputs, precision);
            let mut y = vec![f32::NAN; rows * outputs];
            packed.forward(&x, Epilogue::Store, &mut y, &mut operand);
            assert_close(&y, &expected, &what);
            packed.forward(&x, Epilogue::Add, &mut y, &mut operand);
            let twice: Vec<f64> = expected.iter().map(|e| 2.0 * e).collect();
            assert_close(&y, &twice, &what);
            let bias = values(outputs, 3);
            packed.forward(&x, Epilogue::Bias(&bias), &mut y, &mut operand);
            let biased: Vec<f64> = (expected.iter().zip(bias.iter().cycle()))
                .map(|(e, b)| e + f64::from(*b))
                .collect();
            assert_close(&y, &biased, &what);

            let up = values(outputs * inputs, 4);
            let gated = PackedLinear::gated(&weight[..], &up[..], inputs, precision);
            let ups = product(&x, &up, inputs, precision);
            for (activation, function) in FUNCTIONS {
                let what = format!("{what} {activation:?}");
                gated.forward(&x, Epilogue::Gated(activation), &mut y, &mut operand);
                let products: Vec<f64> =
                    expected.iter().zip(&ups).map(|(g, u)| function(*g) * u).collect();
                assert_close(&y, &products, &what);
                packed.forward(&x, Epilogue::Activation(activation), &mut y, &mut operand);
                let values: Vec<f64> = expected.iter().map(|e| function(*e)).collect();
                assert_close(&y, &values, &what);
            }

            for output in [0, outputs / 2, outputs - 1] {
                let mut row = vec![0.0; inputs];
                packed.row(output, &mut row);
                let original = &weight[output * inputs..][..inputs];
                let expected: Vec<f64> = original.iter().map(|v| rounded(*v, precision)).collect();
                assert_close(&row, &expected, &what);
            }
        }
    }
}

/// A weight stored in bf16 multiplies exactly in f32, at two bytes a value.
#[test]
fn stored_in_bf16_and_multiplied_in_f32() {
    let mut operand = Operand::default();
    for (rows, inputs, outputs) in SHAPES {
        let x = values(rows * inputs, 1);
        let stored: Vec<bf16> =
            values(outputs * inputs, 2).into_iter().map(bf16::from_f32).collect();
        let widened: Vec<f32> = stored.iter().map(|value| value.to_f32()).collect();
        let packed = PackedLinear::new(&stored[..], inputs, Precision::F32);
        let reference = PackedLinear::new(&widened[..], inputs, Precision::F32);
        assert_eq!((packed.precision(), 2 * packed.bytes()), (Precision::F32, reference.bytes()));
        let run = |packed: &PackedLinear, operand: &mut Operand| {
            let mut y = vec![f32::NAN; rows * outputs];
            packed.forward(&x, Epilogue::Store, &mut y, operand);
            y
        };
        let (actual, expected) = (run(&packed, &mut operand), run(&reference, &mut operand));
        assert_eq!(actual, expected, "{rows} x {inputs} x {outputs}");
        let mut row = vec![0.0; inputs];
        packed.row(outputs - 1, &mut row);
        assert_eq!(row, widened[(outputs - 1) * inputs..]);
    }
}

/// Weights one below the other are one weight.
#[test]
fn stacked_weights() {
    let (inputs, x) = (33, values(5 * 33, 1));
    let (first, second) = (values(7 * inputs, 2), values(40 * inputs, 3));
    let whole = [&first[..], &second[..]].concat();
    for precision in precisions() {
        let run = |packed: PackedLinear| {
            let mut y = vec![0.0; 5 * 47];
            packed.forward(&x, Epilogue::Store, &mut y, &mut Operand::default());
            y
        };
        let parts = [StoredWeight::F32(&first), StoredWeight::F32(&second)];
        let stacked = run(PackedLinear::stacked(&parts, inputs, precision));
        assert_eq!(stacked, run(PackedLinear::new(&whole[..], inputs, precision)));
    }
}

#[test]
fn a_row_alone_is_the_row_in_a_batch() {
    for precision in precisions() {
        for (_, inputs, outputs) in SHAPES {
            let weight = values(outputs * inputs, 5);
            let packed = PackedLinear::new(&weight[..], inputs, precision);
            let x = values(300 * inputs, 6);
            let run = |threads, x: &[f32]| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                let mut y = vec![0.0; x.len() / inputs * outputs];
                let mut operand = Operand::default();
                pool.install(|| packed.forward(x, Epilogue::Store, &mut y, &mut operand));
                y
            };
            let all = run(1, &x);
            for rows in [1, 2, 5, 16, 17, 33, 100] {
                let first = 300 - rows;
                let some = run(3, &x[first * inputs..]);
                assert_eq!(some, all[first * outputs..], "{precision} {inputs} {outputs} {rows}");
            }
        }
    }
}

#[test]
fn sums_of_exponentials() {
    for len in [1, 16, 33, 1000] {
        let values: Vec<f32> = values(len, 7).iter().map(|v| v * 20.0).collect();
        let top = largest(&values);
        assert_eq!(top, values.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        let mut sums = vec![0.0; len.div_ceil(100)];
        sums_of_exp(&mut sums, &values, 100, top, 0.5);
        for (sum, values) in sums.iter().zip(values.chunks(100)) {
            let expected: f64 = values.iter().map(|v| (f64::from(v - top) * 0.5).exp()).sum();
            assert!((f64::from(*sum) - expected).abs() < 1e-5 * expected);
        }
    }
}
