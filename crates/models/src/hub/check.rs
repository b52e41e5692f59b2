use super::checkpoint::Checkpoint;
use super::header::TensorEntry;
use super::tensor_file::TensorFile;
use crate::WeightValues;
use rayon::prelude::*;
use serde::Serialize;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher};

/// A tensor with values that are no numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NonFinite {
    /// Its name in the file.
    pub tensor: String,
    /// Values that are not a number.
    pub nan: usize,
    /// Values that are infinite.
    pub infinite: usize,
    /// All its values.
    pub values: usize,
}

/// What reading every weight shows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct WeightCheck {
    /// Tensors with values that are no numbers.
    pub non_finite: Vec<NonFinite>,
    /// Matrices with the same contents, by name. One value all over does not count.
    pub identical: Vec<Vec<String>>,
}

/// A tensor and the file that has it.
type Place<'a> = (&'a TensorFile, &'a TensorEntry);

/// Reads all weights, one tensor at a time.
pub fn check_weights(checkpoint: &Checkpoint) -> WeightCheck {
    let mut found = WeightCheck::default();
    // By the hash of the contents, and the shape.
    let mut alike: HashMap<(u64, &[usize]), Vec<Place<'_>>> = HashMap::new();
    for file in checkpoint.files() {
        for tensor in file.tensors() {
            let Some(values) = file.values(tensor) else { continue };
            let (nan, infinite) = count_non_finite(&values);
            if nan + infinite > 0 {
                let name = tensor.name.clone();
                let values = values.len();
                found.non_finite.push(NonFinite { tensor: name, nan, infinite, values });
            }
            let data = file.data(tensor);
            let width = tensor.dtype.bits() as usize / 8;
            if tensor.shape.len() > 1 && data.chunks(width).any(|value| value != &data[..width]) {
                let mut hasher = DefaultHasher::new();
                hasher.write(data);
                alike.entry((hasher.finish(), &tensor.shape[..])).or_default().push((file, tensor));
            }
            file.release(tensor);
        }
    }
    for candidates in alike.into_values().filter(|tensors| tensors.len() > 1) {
        let first = candidates[0].0.data(candidates[0].1);
        let same = candidates.iter().filter(|(file, tensor)| file.data(tensor) == first);
        let names: Vec<String> = same.map(|(_, tensor)| tensor.name.clone()).collect();
        for (file, tensor) in &candidates {
            file.release(tensor);
        }
        if names.len() > 1 {
            found.identical.push(names);
        }
    }
    found.identical.sort();
    found
}

/// NaN and infinite values.
fn count_non_finite(values: &WeightValues<'_>) -> (usize, usize) {
    const CHUNK: usize = 1 << 16;
    let starts: Vec<usize> = (0..values.len()).step_by(CHUNK).collect();
    let count = |start: &usize| {
        let mut chunk = vec![0.0; CHUNK.min(values.len() - start)];
        values.write_to(*start, &mut chunk);
        let nan = chunk.iter().filter(|value| value.is_nan()).count();
        (nan, chunk.iter().filter(|value| value.is_infinite()).count())
    };
    starts.par_iter().map(count).reduce(|| (0, 0), |a, b| (a.0 + b.0, a.1 + b.1))
}
