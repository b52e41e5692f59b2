//! Output head and log-softmax, a panel of the vocabulary at a time: the log-probability of one
//! target a row, and its gradients. Logits, sums and gradients are f32 whatever the elements of the
//! products.

use rayon::prelude::*;

use super::element::Element;
use super::linear::{PANEL_TILES, Packed};
use super::pack::{self, Tile};
use super::unit::{BLOCK, Output, Strips, Unit, Write};
use crate::cpu::buffer::unfilled;
use crate::cpu::lanes::{exp_scaled_in_place, max, with_lanes};
use crate::cpu::weight::Weight;

/// Rows of a task of the forward pass.
const ROWS: usize = 64;

/// Rows of a group of the backward pass, whose gradients of logits are kept, packed, until the head's
/// gradient has been summed; fewer for a large vocabulary.
const GROUP_ROWS: (usize, usize) = (128, 32);

/// Vocabulary from which groups are small.
const LARGE_VOCABULARY: usize = 1 << 16;

/// Groups whose gradients of logits are kept at once.
const GROUPS: usize = 8;

/// The rows' logits on columns `panel`, excluded tokens at -inf.
fn logits<E: Element>(
    unit: &Unit<E>,
    left: Strips<'_>,
    head: &Packed<E>,
    panel: &std::ops::Range<usize>,
    excluded: &[u32],
    output: &mut [f32],
) {
    let cols = panel.len();
    let rows = output.len() / cols;
    let output_block = Output { data: output, rows, cols, stride: cols };
    unit.multiply(left, head.strips().starting_at(panel.start), output_block, Write::Replace);
    for row in output.chunks_exact_mut(cols) {
        for token in excluded {
            if panel.contains(&(*token as usize)) {
                row[*token as usize - panel.start] = f32::NEG_INFINITY;
            }
        }
    }
}

/// The vocabulary in panels whose part of the packed head stays in the second-level cache.
fn panels<E: Element>(head: &Packed<E>) -> impl Iterator<Item = std::ops::Range<usize>> + use<E> {
    let (cols, width) = (head.cols, BLOCK * (PANEL_TILES / (2 * head.depth)).max(1));
    (0..cols).step_by(width).map(move |first| first..cols.min(first + width))
}

/// Log-probability of each target and the log-sum-exp of its row; see
/// [`token_log_prob`](crate::cpu::token_log_prob).
pub(crate) fn forward<E: Element>(
    hidden: &[f32],
    head: Weight<'_>,
    targets: &[u32],
    excluded: &[u32],
    width: usize,
) -> (Vec<f32>, Vec<f32>) {
    let head = Packed::<E>::transposed(head, width);
    let (mut log_probs, mut log_sums) = (unfilled(targets.len()), unfilled(targets.len()));
    let widest = panels(&head).map(|panel| panel.len()).max().unwrap_or(0);
    log_probs
        .par_chunks_mut(ROWS)
        .zip(log_sums.par_chunks_mut(ROWS))
        .zip(hidden.par_chunks(ROWS * width).zip(targets.par_chunks(ROWS)))
        .for_each_init(
            || (pack::unfilled_tiles(pack::tiles::<E>(ROWS, width)), unfilled(ROWS * widest)),
            |(left, buffer), ((log_probs, log_sums), (hidden, targets))| {
                let rows = targets.len();
                let left = &mut left[..pack::tiles::<E>(rows, width)];
                pack::rows::<E>(left, hidden, width, width);
                let left = Strips::new(left, pack::depth::<E>(width));
                let unit = Unit::<E>::configure();
                let mut sums = [(f32::NEG_INFINITY, 0.0); ROWS];
                for panel in panels(&head) {
                    let buffer = &mut buffer[..rows * panel.len()];
                    logits(&unit, left, &head, &panel, excluded, buffer);
                    for (row, logits) in buffer.chunks_exact_mut(panel.len()).enumerate() {
                        let target = targets[row] as usize;
                        if panel.contains(&target) {
                            log_probs[row] = logits[target - panel.start];
                        }
                        sums[row] = add_to_sum(logits, sums[row].0, sums[row].1);
                    }
                }
                for (row, (largest, sum)) in sums[..rows].iter().enumerate() {
                    log_sums[row] = largest + sum.ln();
                    log_probs[row] -= log_sums[row];
                }
            },
        );
    (log_probs, log_sums)
}

with_lanes! {
    /// Adds a panel to `sum`, the sum of `exp(logit - largest)`. Overwrites the logits.
    fn add_to_sum<V>(logits: &mut [f32], largest: f32, sum: f32) -> (f32, f32) {
        let highest = max::<V>(logits).max(largest);
        if highest == f32::NEG_INFINITY {
            return (largest, sum);
        }
        // `exp(-inf - highest)` is 0, and so is the sum then.
        let rescaled = sum * (largest - highest).exp();
        (highest, rescaled + exp_scaled_in_place::<V>(logits, highest, 1.0))
    }
}

with_lanes! {
    /// Logits -> gradient of `grad * log_prob` by them, but for the target's own 1.
    fn grad_logits<V>(row: &mut [f32], log_sum: f32, grad: f32) {
        exp_scaled_in_place::<V>(row, log_sum, 1.0);
        for value in row.iter_mut() {
            *value *= -grad;
        }
    }
}

/// What the backward pass needs of each row.
struct Scored<'a> {
    hidden: &'a [f32],
    targets: &'a [u32],
    log_sums: &'a [f32],
    grad: &'a [f32],
}

/// Gradients for `hidden` and, when asked for, `head`.
#[allow(clippy::too_many_arguments)]
pub(crate) fn backward<E: Element>(
    hidden: &[f32],
    head: Weight<'_>,
    targets: &[u32],
    excluded: &[u32],
    log_sums: &[f32],
    grad: &[f32],
    width: usize,
    want_head: bool,
) -> (Vec<f32>, Option<Vec<f32>>) {
    if targets.is_empty() {
        return (Vec::new(), want_head.then(|| vec![0.0; head.len()]));
    }
    let vocab = head.len() / width;
    let transposed = Packed::<E>::transposed(head, width);
    let plain = Packed::<E>::plain(head, width);
    let group = if vocab < LARGE_VOCABULARY { GROUP_ROWS.0 } else { GROUP_ROWS.1 };
    let mut grad_hidden = unfilled(hidden.len());
    let mut grad_head = want_head.then(|| unfilled(head.len()));
    let mut write = Write::Replace;
    // Tiles of a group: gradients of logits with a strip for each 16 tokens, and hidden states.
    let depth = pack::depth::<E>(group);
    let (left_size, right_size) = (pack::tiles::<E>(vocab, group), pack::tiles::<E>(width, group));
    let mut left = pack::unfilled_tiles(if want_head { GROUPS * left_size } else { 0 });
    let mut right = pack::unfilled_tiles(if want_head { GROUPS * right_size } else { 0 });
    let wave = GROUPS * group;
    for (first, grad_hidden) in (0..).step_by(wave).zip(grad_hidden.chunks_mut(wave * width)) {
        let end = targets.len().min(first + wave);
        let scored = Scored {
            hidden: &hidden[first * width..end * width],
            targets: &targets[first..end],
            log_sums: &log_sums[first..end],
            grad: &grad[first..end],
        };
        let task = |index: usize, grad_hidden: &mut [f32], tiles: Option<[&mut [Tile]; 2]>| {
            let rows = index * group..scored.targets.len().min((index + 1) * group);
            let part = Scored {
                hidden: &scored.hidden[rows.start * width..rows.end * width],
                targets: &scored.targets[rows.clone()],
                log_sums: &scored.log_sums[rows.clone()],
                grad: &scored.grad[rows],
            };
            backward_group(&part, [&transposed, &plain], excluded, grad_hidden, tiles, depth);
        };
        let grad_hidden = grad_hidden.par_chunks_mut(group * width).enumerate();
        let Some(grad_head) = &mut grad_head else {
            grad_hidden.for_each(|(index, grad_hidden)| task(index, grad_hidden, None));
            continue;
        };
        let tiles = left.par_chunks_mut(left_size).zip(right.par_chunks_mut(right_size));
        grad_hidden.zip(tiles).for_each(|((index, grad_hidden), (left, right))| {
            task(index, grad_hidden, Some([left, right]));
        });
        let groups = scored.targets.len().div_ceil(group);
        grad_head.par_chunks_mut(64 * width).enumerate().for_each(|(task, grad_head)| {
            let unit = Unit::<E>::configure();
            let mut write = write;
            for index in 0..groups {
                let left = Strips::new(&left[index * left_size..][..left_size], depth);
                let right = Strips::new(&right[index * right_size..][..right_size], depth);
                let output = Output::dense(grad_head, width);
                unit.multiply(left.starting_at(task * 64), right, output, write);
                write = Write::Add;
            }
        });
        write = Write::Add;
    }
    (grad_hidden, grad_head)
}

/// The gradient of a group's hidden states; and, if there is room for them, its gradients of logits
/// (transposed) and hidden states as operands of the head's gradient, rows that are missing zero.
fn backward_group<E: Element>(
    rows: &Scored<'_>,
    [transposed, plain]: [&Packed<E>; 2],
    excluded: &[u32],
    grad_hidden: &mut [f32],
    mut tiles: Option<[&mut [Tile]; 2]>,
    depth: usize,
) {
    let (count, width) = (rows.targets.len(), plain.cols);
    let mut hidden = pack::unfilled_tiles(pack::tiles::<E>(count, width));
    pack::rows::<E>(&mut hidden, rows.hidden, width, width);
    if let Some([left, right]) = &mut tiles {
        if pack::depth::<E>(count) < depth {
            left.fill_with(|| Tile::ZERO);
            right.fill_with(|| Tile::ZERO);
        }
        pack::lines::<E>(right, depth, 0, rows.hidden, width, width);
    }
    let hidden = Strips::new(&hidden, pack::depth::<E>(width));
    let widest = panels(transposed).map(|panel| panel.len()).max().unwrap_or(0);
    let mut buffer = unfilled(count * widest);
    let mut packed = pack::unfilled_tiles(pack::tiles::<E>(count, widest));
    let unit = Unit::<E>::configure();
    let mut write = Write::Replace;
    for panel in panels(transposed) {
        let cols = panel.len();
        let buffer = &mut buffer[..count * cols];
        logits(&unit, hidden, transposed, &panel, excluded, buffer);
        for (row, logits) in buffer.chunks_exact_mut(cols).enumerate() {
            grad_logits(logits, rows.log_sums[row], rows.grad[row]);
            let target = rows.targets[row] as usize;
            if panel.contains(&target) {
                logits[target - panel.start] += rows.grad[row];
            }
        }
        let packed = &mut packed[..pack::tiles::<E>(count, cols)];
        pack::rows::<E>(packed, buffer, cols, cols);
        let steps = pack::depth::<E>(cols);
        let right = plain.strips().steps(panel.start / E::DEPTH, steps);
        let output = Output::dense(grad_hidden, width);
        unit.multiply(Strips::new(packed, steps), right, output, write);
        write = Write::Add;
        if let Some([left, _]) = &mut tiles {
            let first = pack::strips(panel.start) * depth;
            let left = &mut left[first..first + pack::strips(cols) * depth];
            pack::lines_transposed::<E>(left, depth, 0, buffer, cols, cols);
        }
    }
}
