use afterthought_kernels::DropoutMask;
use afterthought_random::Stream;
use rayon::prelude::*;

/// Which random numbers the dropout of a training pass sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DropoutKey {
    /// Seed of the run.
    pub seed: u64,
    /// Training step.
    pub step: u64,
    /// Index, in the step, of the first row of the batch: a step may be cut into several.
    pub first_row: u64,
}

/// A [`DropoutKey`] and where the rows of an activation stand in the batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dropout<'a> {
    pub(crate) key: DropoutKey,
    /// Positions a row of the batch.
    pub(crate) width: usize,
    /// Flat positions of the activation's rows; all of the batch, if absent.
    pub(crate) positions: Option<&'a [u32]>,
}

impl Dropout<'_> {
    /// A mask for a `[rows, cols]` input of the module `name`. What is dropped depends on the key,
    /// the module and the place of each row in the step, not on how the step is cut into batches.
    pub(crate) fn mask(
        &self,
        name: &str,
        [rows, cols]: [usize; 2],
        probability: f64,
    ) -> DropoutMask {
        let purpose = format!("dropout {name}");
        let threshold = (probability * f64::from(u32::MAX)) as u32;
        let words = (0..rows).into_par_iter().flat_map_iter(|row| {
            let flat = self.positions.map_or(row, |positions| positions[row] as usize);
            let in_step = self.key.first_row + (flat / self.width) as u64;
            let sample = in_step << 32 | (flat % self.width) as u64;
            let mut stream = Stream::new(self.key.seed, &purpose, self.key.step, sample);
            (0..cols.div_ceil(32)).map(move |_| {
                (0..32).fold(0, |word, bit| word | u32::from(stream.bits() >= threshold) << bit)
            })
        });
        DropoutMask::new(words.collect(), cols, probability)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(key: DropoutKey, width: usize, positions: &[u32], name: &str) -> Vec<f32> {
        let dropout = Dropout { key, width, positions: Some(positions) };
        dropout.mask(name, [positions.len(), 100], 0.3).factors().collect()
    }

    #[test]
    fn masks_are_functions_of_step_module_row_and_position() {
        let key = DropoutKey { seed: 1, step: 2, first_row: 0 };
        // Row 1, column 2 of a batch of width 5, and of one of width 8 that begins at row 1.
        let here = mask(key, 5, &[7], "q");
        assert_eq!(here, mask(DropoutKey { first_row: 1, ..key }, 8, &[2], "q"));
        for other in [
            mask(key, 5, &[8], "q"),
            mask(key, 5, &[7], "k"),
            mask(DropoutKey { step: 3, ..key }, 5, &[7], "q"),
            mask(DropoutKey { seed: 3, ..key }, 5, &[7], "q"),
        ] {
            assert_ne!(here, other);
        }
    }

    #[test]
    fn kept_values_are_scaled_to_the_same_mean() {
        let key = DropoutKey { seed: 1, step: 2, first_row: 0 };
        let positions: Vec<u32> = (0..400).collect();
        let factors = mask(key, 400, &positions, "q");
        let kept = factors.iter().filter(|factor| **factor > 0.0).count() as f64 / 40_000.0;
        assert!((kept - 0.7).abs() < 0.01, "{kept}");
        assert!(factors.iter().all(|f| *f == 0.0 || (*f - 1.0 / 0.7).abs() < 1e-6));
    }
}
