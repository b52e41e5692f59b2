//! Table look-up and the gradient of the table.

use super::buffer::unfilled;
use super::weight::Weight;

/// One row of `width` values an id.
pub(crate) fn forward(table: Weight<'_>, ids: &[u32], width: usize) -> Vec<f32> {
    let mut y = unfilled(ids.len() * width);
    for (y, id) in y.chunks_exact_mut(width).zip(ids) {
        let start = *id as usize * width;
        table.part(start..start + width).write(y);
    }
    y
}

/// Sums the gradient of each position into the row of its id, in position order.
pub(crate) fn backward(rows: usize, ids: &[u32], grad: &[f32], width: usize) -> Vec<f32> {
    let mut grad_table = vec![0.0; rows * width];
    for (grad, id) in grad.chunks_exact(width).zip(ids) {
        let start = *id as usize * width;
        for (total, g) in grad_table[start..start + width].iter_mut().zip(grad) {
            *total += g;
        }
    }
    grad_table
}
