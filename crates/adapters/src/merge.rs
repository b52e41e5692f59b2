use crate::{Adaptable, Error};

/// Adds every adapter's term to the weight it stands beside, `W + scale B A`, in f32. What remains
/// is a plain model. Returns the paths of the layers that changed.
///
/// # Errors
/// [`Error::Model`] if there is no adapter.
pub fn merge<M: Adaptable>(model: &mut M) -> Result<Vec<String>, Error> {
    let mut merged = Vec::new();
    let paths = model.linear_paths();
    for (linear, path) in model.linears_mut().into_iter().zip(paths) {
        if linear.low_rank.is_some() {
            linear.weight.value = linear.merged_weight();
            linear.low_rank = None;
            merged.push(path);
        }
    }
    match merged.is_empty() {
        true => Err(Error::Model("has no adapter to merge")),
        false => Ok(merged),
    }
}
