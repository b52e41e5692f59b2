//! The three products of a linear layer `y = x W^T`, with `W` of shape `[out, in]`.
//!
//! Each sum has a fixed order. A row of the output of [`forward`] and [`backward_input`] is a
//! function of its own row of the input and the weight alone; [`backward_weight`] divides its sum
//! by the number of rows. The number of threads matters to none.

use rayon::prelude::*;

use super::amx::{self, BLOCK, TileUnit};
use super::pack::{self, Tile};
use crate::cpu::buffer::unfilled;
use crate::cpu::simd::vectorised;

/// Rows that a task multiplies.
const TASK_ROWS: usize = 4 * BLOCK;

/// Values of the weight below which packing them is not divided.
const MIN_TASK_VALUES: usize = 1 << 16;

/// Bounds of the number of rows that are summed in one go.
const GROUP_ROWS: (usize, usize) = (256, 1024);

/// Groups that the rows are divided into, as far as the bounds allow it.
const GROUPS: usize = 8;

/// Whether the processor has the instructions. The functions below panic if it has not.
pub(crate) fn supported() -> bool {
    amx::available()
}

/// `x`: rows of `inputs` values; `weight`: `outputs` rows of `inputs` values.
pub(crate) fn forward(x: &[f32], weight: &[f32], inputs: usize) -> Vec<f32> {
    let outputs = weight.len() / inputs;
    let mut packed = pack::unfilled_tiles(pack::tiles(outputs, inputs));
    packed
        .par_chunks_mut(2 * pack::depth(inputs))
        .zip(weight.par_chunks(BLOCK * inputs))
        .with_min_len(MIN_TASK_VALUES.div_ceil(BLOCK * inputs))
        .for_each(|(packed, weight)| pack::rows_transposed(packed, weight, inputs));
    rows_times(x, inputs, &packed, outputs)
}

/// `dx = dy W`.
pub(crate) fn backward_input(weight: &[f32], grad: &[f32], inputs: usize) -> Vec<f32> {
    let outputs = weight.len() / inputs;
    let mut packed = pack::unfilled_tiles(pack::tiles(inputs, outputs));
    pack::row_pairs(&mut packed, weight, inputs);
    rows_times(grad, outputs, &packed, inputs)
}

/// Rows of `inner` values times a packed matrix of `cols` columns.
fn rows_times(values: &[f32], inner: usize, packed: &[Tile], cols: usize) -> Vec<f32> {
    let rows = values.len() / inner;
    let mut output = unfilled(rows * cols);
    if output.is_empty() {
        return output;
    }
    let depth = pack::depth(inner);
    output
        .par_chunks_mut(TASK_ROWS * cols)
        .zip(values.par_chunks(TASK_ROWS * inner))
        .for_each_init(
            || pack::unfilled_tiles(2 * depth),
            |left, (output, values)| {
                let unit = TileUnit::configure();
                // Block by block, so that the rounded rows stay in the first-level cache.
                let blocks = output.chunks_mut(BLOCK * cols).zip(values.chunks(BLOCK * inner));
                for (output, values) in blocks {
                    pack::rows(left, values, inner);
                    unit.multiply(left, packed, depth, output, cols);
                }
            },
        );
    output
}

/// `dW = dy^T x`.
pub(crate) fn backward_weight(x: &[f32], grad: &[f32], inputs: usize, outputs: usize) -> Vec<f32> {
    let len = outputs * inputs;
    let rows = x.len() / inputs;
    if len == 0 || rows == 0 {
        return vec![0.0; len];
    }
    let group = rows.div_ceil(GROUPS).clamp(GROUP_ROWS.0, GROUP_ROWS.1).next_multiple_of(BLOCK);
    let mut partial = unfilled(rows.div_ceil(group) * len);
    partial
        .par_chunks_mut(len)
        .zip(x.par_chunks(group * inputs))
        .zip(grad.par_chunks(group * outputs))
        .for_each(|((output, x), grad)| {
            let rows = x.len() / inputs;
            let mut left = pack::unfilled_tiles(pack::tiles(outputs, rows));
            let mut right = pack::unfilled_tiles(pack::tiles(inputs, rows));
            pack::row_pairs_transposed(&mut left, grad, outputs);
            pack::row_pairs(&mut right, x, inputs);
            let unit = TileUnit::configure();
            unit.multiply(&left, &right, pack::depth(rows), output, inputs);
        });
    sum_groups(&partial, len)
}

/// The sum of `groups`, each of `len` values, in their order.
fn sum_groups(groups: &[f32], len: usize) -> Vec<f32> {
    const CHUNK: usize = 4096;
    let mut sum = unfilled(len);
    sum.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, sum)| {
        for (index, group) in groups.chunks_exact(len).enumerate() {
            let group = &group[chunk * CHUNK..][..sum.len()];
            if index == 0 {
                sum.copy_from_slice(group);
            } else {
                add(sum, group);
            }
        }
    });
    sum
}

vectorised! {
    fn add(sum: &mut [f32], values: &[f32]) {
        for (sum, value) in sum.iter_mut().zip(values) {
            *sum += value;
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::print_stderr)]
mod tests {
    use super::*;

    /// `(rows, inputs, outputs)`.
    const SHAPES: [(usize, usize, usize); 12] = [
        (1, 1, 1),
        (1, 96, 256),
        (7, 33, 127),
        (33, 127, 7),
        (127, 7, 33),
        (127, 1, 127),
        (32, 32, 32),
        (31, 16, 48),
        (1, 352, 1),
        (257, 128, 352),
        (1100, 33, 65),
        (6400, 96, 256),
    ];

    fn skipped() -> bool {
        if !supported() {
            eprintln!("skipped: the processor has no bf16 tiles");
        }
        !supported()
    }

    fn values(len: usize, seed: u32) -> Vec<f32> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / 8_388_608.0 - 1.0
        };
        (0..len).map(|_| next()).collect()
    }

    /// The nearest bf16 value by comparing the distances to both neighbours.
    fn bf16(value: f32) -> f64 {
        let below = value.to_bits() & 0xffff_0000;
        let above = below + 0x1_0000;
        let distance = |bits| (f64::from(value) - f64::from(f32::from_bits(bits))).abs();
        let up = distance(above) < distance(below)
            || (distance(above) == distance(below) && below & 0x1_0000 != 0);
        f64::from(f32::from_bits(if up { above } else { below }))
    }

    /// Compares with the `rows x cols` product of `a` (`rows x inner`) and `b` (`inner x cols`),
    /// which are read by `(row, col)`.
    fn check(
        actual: &[f32],
        (rows, inner, cols): (usize, usize, usize),
        a: impl Fn(usize, usize) -> f64,
        b: impl Fn(usize, usize) -> f64,
    ) {
        assert_eq!(actual.len(), rows * cols);
        for (row, actual) in actual.chunks_exact(cols).enumerate() {
            let (mut sums, mut sizes) = (vec![0.0; cols], vec![0.0; cols]);
            for k in 0..inner {
                let a = a(row, k);
                for (col, (sum, size)) in sums.iter_mut().zip(&mut sizes).enumerate() {
                    let product = a * b(k, col);
                    *sum += product;
                    *size += product.abs();
                }
            }
            for (col, actual) in actual.iter().enumerate() {
                let error = (f64::from(*actual) - sums[col]).abs();
                assert!(
                    error <= 1e-5 * sizes[col],
                    "{rows} x {inner} x {cols} at ({row}, {col}): {actual}, expected {}",
                    sums[col]
                );
            }
        }
    }

    #[test]
    fn products_match_the_definition_on_rounded_operands() {
        if skipped() {
            return;
        }
        for (rows, inputs, outputs) in SHAPES {
            let x = values(rows * inputs, 1);
            let weight = values(outputs * inputs, 2);
            let grad = values(rows * outputs, 3);
            let rounded = |values: &[f32]| values.iter().map(|v| bf16(*v)).collect::<Vec<_>>();
            let (rx, rw, rg) = (rounded(&x), rounded(&weight), rounded(&grad));
            check(
                &forward(&x, &weight, inputs),
                (rows, inputs, outputs),
                |row, k| rx[row * inputs + k],
                |k, col| rw[col * inputs + k],
            );
            check(
                &backward_input(&weight, &grad, inputs),
                (rows, outputs, inputs),
                |row, k| rg[row * outputs + k],
                |k, col| rw[k * inputs + col],
            );
            check(
                &backward_weight(&x, &grad, inputs, outputs),
                (outputs, rows, inputs),
                |row, k| rg[k * outputs + row],
                |k, col| rx[k * inputs + col],
            );
        }
    }

    #[test]
    fn rows_do_not_depend_on_each_other() {
        if skipped() {
            return;
        }
        let (rows, inputs, outputs) = (300, 97, 130);
        let (mut x, weight) = (values(rows * inputs, 4), values(outputs * inputs, 5));
        let mut grad = values(rows * outputs, 6);
        let y = forward(&x, &weight, inputs);
        let grad_x = backward_input(&weight, &grad, inputs);
        for (first, end) in [(0, 1), (5, 6), (17, 50), (130, 300), (299, 300)] {
            let part = forward(&x[first * inputs..end * inputs], &weight, inputs);
            assert_eq!(part, y[first * outputs..end * outputs]);
            let part = backward_input(&weight, &grad[first * outputs..end * outputs], inputs);
            assert_eq!(part, grad_x[first * inputs..end * inputs]);
        }
        // Not even where one is not a number.
        x[40 * inputs + 3] = f32::NAN;
        grad[40 * outputs + 3] = f32::INFINITY;
        let spoilt = forward(&x, &weight, inputs);
        assert!(spoilt[40 * outputs..41 * outputs].iter().all(|value| value.is_nan()));
        assert_eq!(spoilt[..40 * outputs], y[..40 * outputs]);
        assert_eq!(spoilt[41 * outputs..], y[41 * outputs..]);
        let spoilt = backward_input(&weight, &grad, inputs);
        assert!(spoilt[40 * inputs..41 * inputs].iter().all(|value| !value.is_finite()));
        assert_eq!(spoilt[..40 * inputs], grad_x[..40 * inputs]);
        assert_eq!(spoilt[41 * inputs..], grad_x[41 * inputs..]);
    }

    #[test]
    fn the_number_of_threads_does_not_matter() {
        if skipped() {
            return;
        }
        for (rows, inputs, outputs) in [(2500, 96, 130), (700, 352, 512)] {
            let x = values(rows * inputs, 7);
            let weight = values(outputs * inputs, 8);
            let grad = values(rows * outputs, 9);
            let run = |threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| {
                    (
                        forward(&x, &weight, inputs),
                        backward_input(&weight, &grad, inputs),
                        backward_weight(&x, &grad, inputs, outputs),
                    )
                })
            };
            let one = run(1);
            assert!(one == run(2) && one == run(3));
        }
    }

    #[test]
    fn no_rows_give_no_output_and_a_zero_weight_gradient() {
        if skipped() {
            return;
        }
        assert!(forward(&[], &values(12, 10), 4).is_empty());
        assert!(backward_input(&values(12, 10), &[], 4).is_empty());
        assert_eq!(backward_weight(&[], &[], 4, 3), [0.0; 12]);
    }
}
