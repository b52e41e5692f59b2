//! The three products of linear layers `y_i = x W_i^T` that share an input, with `W_i` of shape
//! `[out_i, in]`. The outputs stand side by side in one matrix, `[rows, sum of out_i]`.
//!
//! Each sum has a fixed order. A row of the output of [`forward`] and [`backward_input`] is a
//! function of its own row of the input and the weights alone. The number of threads matters to
//! none.

use std::marker::PhantomData;

use rayon::prelude::*;

use super::element::Element;
use super::pack::{self, Tile};
use super::unit::{BLOCK, Output, Strips, Unit, Write};
use crate::cpu::buffer::unfilled;
use crate::cpu::weight::Weight;

/// Rows that a task multiplies.
const TASK_ROWS: usize = 4 * BLOCK;

/// Tiles (1 KiB) of the right operand that stay in the second-level cache while the rows of a task
/// go by.
pub(super) const PANEL_TILES: usize = 512;

/// Rows summed in one go for the gradient of a weight: 32 KiB of a pair of strips stay in the
/// first-level cache.
const GROUP_ROWS: usize = 512;

/// Values of a weight below which packing it is not divided.
const MIN_TASK_VALUES: usize = 1 << 16;

/// A packed right operand of `cols` columns.
pub(super) struct Packed<E> {
    tiles: Vec<Tile>,
    pub(super) depth: usize,
    pub(super) cols: usize,
    elements: PhantomData<E>,
}

impl<E: Element> Packed<E> {
    /// `W^T`, for `y = x W^T`.
    pub(super) fn transposed(weight: Weight<'_>, inputs: usize) -> Self {
        let cols = weight.len() / inputs;
        let mut tiles = pack::unfilled_tiles(pack::tiles::<E>(cols, inputs));
        tiles
            .par_chunks_mut(2 * pack::depth::<E>(inputs))
            .enumerate()
            .with_min_len(MIN_TASK_VALUES.div_ceil(BLOCK * inputs))
            .for_each(|(block, tiles)| {
                let rows = block * BLOCK..cols.min((block + 1) * BLOCK);
                let values = weight.part(rows.start * inputs..rows.end * inputs).widened();
                pack::rows_transposed::<E>(tiles, &values, inputs, inputs);
            });
        Self { tiles, depth: pack::depth::<E>(inputs), cols, elements: PhantomData }
    }

    /// `W`, for `dx = dy W`.
    pub(super) fn plain(weight: Weight<'_>, inputs: usize) -> Self {
        let depth = pack::depth::<E>(weight.len() / inputs);
        let mut tiles = pack::unfilled_tiles(pack::tiles::<E>(inputs, weight.len() / inputs));
        let columns = (MIN_TASK_VALUES.div_ceil(weight.len() / inputs)).next_multiple_of(BLOCK);
        tiles.par_chunks_mut(columns / BLOCK * 2 * depth).enumerate().for_each(|(index, tiles)| {
            let first = index * columns;
            let outer = columns.min(inputs - first);
            match weight {
                Weight::F32(values) => {
                    pack::lines::<E>(tiles, depth, 0, &values[first..], outer, inputs);
                }
                Weight::Bf16(values) => {
                    // A tile's rows at a time, and only the columns of this task.
                    let mut block = unfilled(E::DEPTH * outer);
                    for (step, rows) in values.chunks(E::DEPTH * inputs).enumerate() {
                        let block = &mut block[..rows.len() / inputs * outer];
                        for (to, row) in
                            block.chunks_exact_mut(outer).zip(rows.chunks_exact(inputs))
                        {
                            Weight::Bf16(&row[first..first + outer]).write(to);
                        }
                        pack::lines::<E>(tiles, depth, step, block, outer, outer);
                    }
                }
            }
        });
        Self { tiles, depth, cols: inputs, elements: PhantomData }
    }

    pub(super) fn strips(&self) -> Strips<'_> {
        Strips::new(&self.tiles, self.depth)
    }
}

/// `x`: rows of `inputs` values; each weight: some rows of `inputs` values. The products are added
/// to `residual` if there is one, of the output's shape.
pub(crate) fn forward<E: Element>(
    x: &[f32],
    weights: &[Weight<'_>],
    inputs: usize,
    residual: Option<&[f32]>,
) -> Vec<f32> {
    let packed: Vec<Packed<E>> =
        weights.iter().map(|weight| Packed::transposed(*weight, inputs)).collect();
    let total: usize = packed.iter().map(|packed| packed.cols).sum();
    let mut y = unfilled(x.len() / inputs * total);
    if y.is_empty() {
        return y;
    }
    assert!(residual.is_none_or(|residual| residual.len() == y.len()), "residual and output");
    let write = if residual.is_some() { Write::Add } else { Write::Replace };
    let depth = pack::depth::<E>(inputs);
    y.par_chunks_mut(TASK_ROWS * total)
        .zip(x.par_chunks(TASK_ROWS * inputs))
        .enumerate()
        .for_each_init(
            || pack::unfilled_tiles(pack::tiles::<E>(TASK_ROWS, inputs)),
            |left, (task, (y, x))| {
                if let Some(residual) = residual {
                    y.copy_from_slice(&residual[task * TASK_ROWS * total..][..y.len()]);
                }
                let left = &mut left[..pack::tiles::<E>(x.len() / inputs, inputs)];
                pack::rows::<E>(left, x, inputs, inputs);
                let unit = Unit::<E>::configure();
                let mut first = 0;
                for packed in &packed {
                    rows_times(&unit, Strips::new(left, depth), packed, y, first, total, write);
                    first += packed.cols;
                }
            },
        );
    y
}

/// Multiplies rows by a packed operand, a panel of columns at a time, into columns `first..` of
/// rows of `stride` values.
fn rows_times<E: Element>(
    unit: &Unit<E>,
    left: Strips<'_>,
    right: &Packed<E>,
    output: &mut [f32],
    first: usize,
    stride: usize,
    write: Write,
) {
    let rows = output.len() / stride;
    let pairs = (PANEL_TILES / (2 * right.depth)).max(1);
    for (panel, tiles) in right.tiles.chunks(2 * right.depth * pairs).enumerate() {
        let col = panel * pairs * BLOCK;
        let cols = (pairs * BLOCK).min(right.cols - col);
        let output = Output { data: &mut output[first + col..], rows, cols, stride };
        unit.multiply(left, Strips::new(tiles, right.depth), output, write);
    }
}

/// `dx = sum_i dy_i W_i`; `grad`: rows in which the gradients of the outputs stand side by side.
pub(crate) fn backward_input<E: Element>(
    weights: &[Weight<'_>],
    grad: &[f32],
    inputs: usize,
) -> Vec<f32> {
    let packed: Vec<Packed<E>> =
        weights.iter().map(|weight| Packed::plain(*weight, inputs)).collect();
    let outputs: Vec<usize> = weights.iter().map(|weight| weight.len() / inputs).collect();
    let total: usize = outputs.iter().sum();
    let mut grad_x = unfilled(grad.len() / total * inputs);
    let widest = outputs.iter().copied().max().unwrap_or(0);
    grad_x
        .par_chunks_mut(TASK_ROWS * inputs)
        .zip(grad.par_chunks(TASK_ROWS * total))
        .for_each_init(
            || pack::unfilled_tiles(pack::tiles::<E>(TASK_ROWS, widest)),
            |left, (grad_x, grad)| {
                let unit = Unit::<E>::configure();
                let (mut first, mut write) = (0, Write::Replace);
                for (packed, outputs) in packed.iter().zip(&outputs) {
                    let left = &mut left[..pack::tiles::<E>(grad.len() / total, *outputs)];
                    pack::rows::<E>(left, &grad[first..], *outputs, total);
                    let left = Strips::new(left, pack::depth::<E>(*outputs));
                    rows_times(&unit, left, packed, grad_x, 0, inputs, write);
                    (first, write) = (first + outputs, Write::Add);
                }
            },
        );
    grad_x
}

/// `dW_i = dy_i^T x` for outputs of the given widths.
pub(crate) fn backward_weights<E: Element>(
    x: &[f32],
    grad: &[f32],
    inputs: usize,
    outputs: &[usize],
) -> Vec<Vec<f32>> {
    let rows = x.len() / inputs;
    if rows == 0 {
        return outputs.iter().map(|outputs| vec![0.0; outputs * inputs]).collect();
    }
    let total: usize = outputs.iter().sum();
    let right = Groups::pack::<E>(x, inputs, inputs, |tiles, depth, x| {
        pack::lines::<E>(tiles, depth, 0, x, inputs, inputs);
    });
    let mut first = 0;
    let gradient = |outputs: &usize| {
        let left = Groups::pack::<E>(&grad[first..], *outputs, total, |tiles, depth, grad| {
            pack::lines_transposed::<E>(tiles, depth, 0, grad, *outputs, total);
        });
        first += outputs;
        let mut grad_weight = unfilled(outputs * inputs);
        let rows = if *outputs >= 8 * BLOCK { 2 * BLOCK } else { BLOCK };
        grad_weight.par_chunks_mut(rows * inputs).enumerate().for_each(|(task, grad_weight)| {
            let unit = Unit::<E>::configure();
            let mut write = Write::Replace;
            for (left, right) in left.iter().zip(right.iter()) {
                let left = left.starting_at(task * rows);
                unit.multiply(left, right, Output::dense(grad_weight, inputs), write);
                write = Write::Add;
            }
        });
        grad_weight
    };
    outputs.iter().map(gradient).collect()
}

/// Rows packed group by group, as operands whose inner dimension they are.
struct Groups {
    tiles: Vec<Tile>,
    /// Tiles of a whole group.
    group: usize,
    outer: usize,
}

impl Groups {
    /// `pack` packs the rows of a group, `stride` apart, with strips of the depth that it is given.
    fn pack<E: Element>(
        values: &[f32],
        outer: usize,
        stride: usize,
        pack: impl Fn(&mut [Tile], usize, &[f32]) + Sync,
    ) -> Self {
        let (group, rows) = (pack::tiles::<E>(outer, GROUP_ROWS), values.len().div_ceil(stride));
        let last = pack::tiles::<E>(outer, (rows - 1) % GROUP_ROWS + 1);
        let mut tiles = pack::unfilled_tiles((rows - 1) / GROUP_ROWS * group + last);
        tiles
            .par_chunks_mut(group)
            .zip(values.par_chunks(GROUP_ROWS * stride))
            .for_each(|(tiles, values)| pack(tiles, Self::depth(tiles, outer), values));
        Self { tiles, group, outer }
    }

    fn depth(tiles: &[Tile], outer: usize) -> usize {
        tiles.len() / pack::strips(outer)
    }

    fn iter(&self) -> impl Iterator<Item = Strips<'_>> {
        self.tiles
            .chunks(self.group)
            .map(|tiles| Strips::new(tiles, Self::depth(tiles, self.outer)))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::print_stderr)]
mod tests {
    use super::super::element::{Bf16, F32};
    use super::*;
    use crate::precision::Precision;

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

    fn skipped<E: Element>() -> bool {
        let supported = E::PRECISION == Precision::F32 || super::super::bf16_supported();
        if !supported {
            eprintln!("skipped: the processor has no bf16 instructions");
        }
        !supported
    }

    /// What a factor of a product is.
    fn element<E: Element>(value: f32) -> f64 {
        match E::PRECISION {
            Precision::F32 => f64::from(value),
            Precision::Bf16 => bf16(value),
        }
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
        check_products_match_the_definition::<F32>();
        check_products_match_the_definition::<Bf16>();
    }

    fn check_products_match_the_definition<E: Element>() {
        if skipped::<E>() {
            return;
        }
        for (rows, inputs, outputs) in SHAPES {
            let x = values(rows * inputs, 1);
            let weight = values(outputs * inputs, 2);
            let grad = values(rows * outputs, 3);
            let rounded =
                |values: &[f32]| values.iter().map(|v| element::<E>(*v)).collect::<Vec<_>>();
            let (rx, rw, rg) = (rounded(&x), rounded(&weight), rounded(&grad));
            check(
                &forward::<E>(&x, &[Weight::F32(&weight)], inputs, None),
                (rows, inputs, outputs),
                |row, k| rx[row * inputs + k],
                |k, col| rw[col * inputs + k],
            );
            check(
                &backward_input::<E>(&[Weight::F32(&weight)], &grad, inputs),
                (rows, outputs, inputs),
                |row, k| rg[row * outputs + k],
                |k, col| rw[k * inputs + col],
            );
            check(
                &backward_weights::<E>(&x, &grad, inputs, &[outputs])[0],
                (outputs, rows, inputs),
                |row, k| rg[k * outputs + row],
                |k, col| rx[k * inputs + col],
            );
        }
    }

    #[test]
    fn rows_do_not_depend_on_each_other() {
        check_rows_do_not_depend_on_each_other::<F32>();
        check_rows_do_not_depend_on_each_other::<Bf16>();
    }

    fn check_rows_do_not_depend_on_each_other<E: Element>() {
        if skipped::<E>() {
            return;
        }
        let (rows, inputs, outputs) = (300, 97, 130);
        let (mut x, weight) = (values(rows * inputs, 4), values(outputs * inputs, 5));
        let mut grad = values(rows * outputs, 6);
        let y = forward::<E>(&x, &[Weight::F32(&weight)], inputs, None);
        let grad_x = backward_input::<E>(&[Weight::F32(&weight)], &grad, inputs);
        for (first, end) in [(0, 1), (5, 6), (17, 50), (130, 300), (299, 300)] {
            let part = forward::<E>(
                &x[first * inputs..end * inputs],
                &[Weight::F32(&weight)],
                inputs,
                None,
            );
            assert_eq!(part, y[first * outputs..end * outputs]);
            let part = backward_input::<E>(
                &[Weight::F32(&weight)],
                &grad[first * outputs..end * outputs],
                inputs,
            );
            assert_eq!(part, grad_x[first * inputs..end * inputs]);
        }
        // Not even where one is not a number.
        x[40 * inputs + 3] = f32::NAN;
        grad[40 * outputs + 3] = f32::INFINITY;
        let spoilt = forward::<E>(&x, &[Weight::F32(&weight)], inputs, None);
        assert!(spoilt[40 * outputs..41 * outputs].iter().all(|value| value.is_nan()));
        assert_eq!(spoilt[..40 * outputs], y[..40 * outputs]);
        assert_eq!(spoilt[41 * outputs..], y[41 * outputs..]);
        let spoilt = backward_input::<E>(&[Weight::F32(&weight)], &grad, inputs);
        assert!(spoilt[40 * inputs..41 * inputs].iter().all(|value| !value.is_finite()));
        assert_eq!(spoilt[..40 * inputs], grad_x[..40 * inputs]);
        assert_eq!(spoilt[41 * inputs..], grad_x[41 * inputs..]);
    }

    #[test]
    fn the_number_of_threads_does_not_matter() {
        check_the_number_of_threads_does_not_matter::<F32>();
        check_the_number_of_threads_does_not_matter::<Bf16>();
    }

    fn check_the_number_of_threads_does_not_matter<E: Element>() {
        if skipped::<E>() {
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
                        forward::<E>(&x, &[Weight::F32(&weight)], inputs, None),
                        backward_input::<E>(&[Weight::F32(&weight)], &grad, inputs),
                        backward_weights::<E>(&x, &grad, inputs, &[outputs]),
                    )
                })
            };
            let one = run(1);
            assert!(one == run(2) && one == run(3));
        }
    }

    #[test]
    fn no_rows_give_no_output_and_a_zero_weight_gradient() {
        check_no_rows_give_no_output_and_a_zero_weight_gradient::<F32>();
        check_no_rows_give_no_output_and_a_zero_weight_gradient::<Bf16>();
    }

    fn check_no_rows_give_no_output_and_a_zero_weight_gradient<E: Element>() {
        if skipped::<E>() {
            return;
        }
        assert!(forward::<E>(&[], &[Weight::F32(&values(12, 10))], 4, None).is_empty());
        assert!(backward_input::<E>(&[Weight::F32(&values(12, 10))], &[], 4).is_empty());
        assert_eq!(backward_weights::<E>(&[], &[], 4, &[3]), [[0.0; 12]]);
    }
}
