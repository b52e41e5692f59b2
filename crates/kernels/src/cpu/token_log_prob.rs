//! Output head and log-softmax in one operation: the log-probability of one target a row, without
//! ever holding rows x vocabulary. Excluded tokens have probability zero.

use super::bf16;
use super::buffer::unfilled;
use super::matmul::{Matrix, MatrixMut, Threads, Write, matmul};
use super::simd::{exp_shifted_in_place, max, vectorised};
use crate::precision::{Precision, precision};
use rayon::prelude::*;

/// Most logits held at once (4 MiB of f32), unless 16 rows of a large vocabulary need more.
const LOGITS: usize = 1 << 20;

/// Rows of logits computed together.
fn rows_at_once(vocab: usize) -> usize {
    (LOGITS / vocab).clamp(16, 2048)
}

fn logits(hidden: &[f32], head: &[f32], width: usize, excluded: &[u32], output: &mut [f32]) {
    let (rows, vocab) = (hidden.len() / width, head.len() / width);
    matmul(
        MatrixMut::new(output, rows, vocab, vocab),
        Write::Replace,
        1.0,
        Matrix::new(hidden, rows, width, width),
        Matrix::new(head, vocab, width, width).t(),
        Threads::All,
    );
    for row in output.chunks_exact_mut(vocab) {
        for token in excluded {
            row[*token as usize] = f32::NEG_INFINITY;
        }
    }
}

/// Every target has a row and a place in the vocabulary: all outputs are written then.
fn check(hidden: &[f32], head: &[f32], targets: &[u32], excluded: &[u32], width: usize) {
    assert_eq!(hidden.len(), targets.len() * width, "hidden states and targets");
    let vocab = head.len() / width;
    let known = |token: &u32| (*token as usize) < vocab;
    assert!(targets.iter().chain(excluded).all(known), "a token exceeds the vocabulary");
}

/// Log-probability of each target and the log-sum-exp of its row.
pub(crate) fn forward(
    hidden: &[f32],
    head: &[f32],
    targets: &[u32],
    excluded: &[u32],
    width: usize,
) -> (Vec<f32>, Vec<f32>) {
    check(hidden, head, targets, excluded, width);
    if precision() == Precision::Bf16 {
        return bf16::head::forward(hidden, head, targets, excluded, width);
    }
    let vocab = head.len() / width;
    let rows = rows_at_once(vocab);
    let mut buffer = unfilled(rows.min(targets.len()) * vocab);
    let (mut log_probs, mut log_sums) = (unfilled(targets.len()), unfilled(targets.len()));
    for (start, targets) in (0..targets.len()).step_by(rows).zip(targets.chunks(rows)) {
        let buffer = &mut buffer[..targets.len() * vocab];
        let range = start..start + targets.len();
        logits(&hidden[range.start * width..range.end * width], head, width, excluded, buffer);
        buffer
            .par_chunks_exact_mut(vocab)
            .zip(targets)
            .zip(log_probs[range.clone()].par_iter_mut().zip(&mut log_sums[range]))
            .with_min_len(32)
            .for_each(|((row, target), (log_prob, log_sum))| {
                let logit = row[*target as usize];
                *log_sum = log_sum_exp(row);
                *log_prob = logit - *log_sum;
            });
    }
    (log_probs, log_sums)
}

vectorised! {
    /// Overwrites the row.
    fn log_sum_exp(row: &mut [f32]) -> f32 {
        let largest = max(row);
        largest + exp_shifted_in_place(row, largest).ln()
    }
}

vectorised! {
    /// Logits -> gradient of `grad * log_prob(target)` with respect to them.
    fn grad_logits(row: &mut [f32], target: usize, log_sum: f32, grad: f32) {
        exp_shifted_in_place(row, log_sum);
        for value in row.iter_mut() {
            *value *= -grad;
        }
        row[target] += grad;
    }
}

/// Gradients for `hidden` and, when asked for, `head`.
#[allow(clippy::too_many_arguments)]
pub(crate) fn backward(
    hidden: &[f32],
    head: &[f32],
    targets: &[u32],
    excluded: &[u32],
    log_sums: &[f32],
    grad: &[f32],
    width: usize,
    want_head: bool,
) -> (Vec<f32>, Option<Vec<f32>>) {
    check(hidden, head, targets, excluded, width);
    assert!(log_sums.len() == targets.len() && grad.len() == targets.len(), "one value a target");
    if precision() == Precision::Bf16 {
        return bf16::head::backward(
            hidden, head, targets, excluded, log_sums, grad, width, want_head,
        );
    }
    let vocab = head.len() / width;
    let rows = rows_at_once(vocab);
    let mut buffer = unfilled(rows.min(targets.len()) * vocab);
    let mut grad_hidden = unfilled(hidden.len());
    let mut grad_head = want_head.then(|| vec![0.0; head.len()]);
    for (start, targets) in (0..targets.len()).step_by(rows).zip(targets.chunks(rows)) {
        let range = start..start + targets.len();
        let values = range.start * width..range.end * width;
        let buffer = &mut buffer[..targets.len() * vocab];
        logits(&hidden[values.clone()], head, width, excluded, buffer);
        buffer
            .par_chunks_exact_mut(vocab)
            .zip(targets)
            .zip(log_sums[range.clone()].par_iter().zip(&grad[range.clone()]))
            .with_min_len(32)
            .for_each(|((row, target), (log_sum, grad))| {
                grad_logits(row, *target as usize, *log_sum, *grad);
            });
        let grad_logits = Matrix::new(buffer, targets.len(), vocab, vocab);
        matmul(
            MatrixMut::new(&mut grad_hidden[values.clone()], targets.len(), width, width),
            Write::Replace,
            1.0,
            grad_logits,
            Matrix::new(head, vocab, width, width),
            Threads::All,
        );
        if let Some(grad_head) = &mut grad_head {
            matmul(
                MatrixMut::new(grad_head, vocab, width, width),
                Write::Add,
                1.0,
                grad_logits.t(),
                Matrix::new(&hidden[values], targets.len(), width, width),
                Threads::All,
            );
        }
    }
    (grad_hidden, grad_head)
}
