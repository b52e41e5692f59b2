//! Gradients that tasks compute side by side and that are summed in a fixed order.

/// The sum of partial gradients, in their order.
pub(crate) fn sum(partials: &[Vec<f32>], width: usize) -> Vec<f32> {
    let mut total = vec![0.0; width];
    for partial in partials {
        for (total, part) in total.iter_mut().zip(partial) {
            *total += part;
        }
    }
    total
}
