//! What a low-rank term `y + scale * (dropout(x) A^T) B^T` (Hu et al. 2021, section 4.1) is called
//! with.

use std::sync::Arc;

/// Where a low-rank term is added, and how much of it.
#[derive(Clone, Debug)]
pub struct LowRankSpec {
    /// First column of the output that the term is added to; it covers as many as `B` has rows.
    pub first: usize,
    /// Factor of the term.
    pub scale: f32,
    /// Which inputs of the term are kept; all, if absent.
    pub dropout: Option<Arc<DropoutMask>>,
}

/// Which values of a `[rows, cols]` input are kept, one bit each; those that are kept are scaled so
/// that the mean stays (Srivastava et al. 2014, inverted).
#[derive(Debug)]
pub struct DropoutMask {
    words: Vec<u32>,
    cols: usize,
    scale: f32,
}

impl DropoutMask {
    /// From 32-bit words, the lowest bit first, each row beginning a word.
    ///
    /// # Panics
    /// If the words do not fill whole rows, or `probability` (of being dropped) is not in `[0, 1)`.
    pub fn new(words: Vec<u32>, cols: usize, probability: f64) -> Self {
        assert!(cols > 0 && words.len().is_multiple_of(cols.div_ceil(32)), "words fill whole rows");
        assert!((0.0..1.0).contains(&probability), "a dropout probability");
        Self { words, cols, scale: (1.0 / (1.0 - probability)) as f32 }
    }

    /// Rows and columns.
    pub fn shape(&self) -> [usize; 2] {
        [self.words.len() / self.cols.div_ceil(32), self.cols]
    }

    /// The factor of every value: 0, or the inverse of the probability of being kept.
    pub fn factors(&self) -> impl Iterator<Item = f32> + '_ {
        self.words.chunks_exact(self.cols.div_ceil(32)).flat_map(|row| {
            (0..self.cols).map(|col| match row[col / 32] >> (col % 32) & 1 {
                0 => 0.0,
                _ => self.scale,
            })
        })
    }

    /// Multiplies `[rows, cols]` values by their factors.
    pub(crate) fn apply(&self, values: &mut [f32]) {
        let rows = self.words.chunks_exact(self.cols.div_ceil(32));
        for (row, words) in values.chunks_exact_mut(self.cols).zip(rows) {
            for (values, word) in row.chunks_mut(32).zip(words) {
                for (bit, value) in values.iter_mut().enumerate() {
                    *value *= self.scale * (word >> bit & 1) as f32;
                }
            }
        }
    }
}

/// What the gradients of a low-rank term need.
#[derive(Clone, Debug)]
pub struct LowRankKept<T> {
    /// `A`, `[rank, in]`.
    pub a: T,
    /// `B`, `[out, rank]`.
    pub b: T,
    /// The input, `[rows, in]`, where `A` has a gradient.
    pub x: Option<T>,
    /// `dropout(x) A^T`, `[rows, rank]`, where `B` has a gradient.
    pub inner: Option<T>,
    /// Whether the input has a gradient.
    pub want_x: bool,
}

/// The gradients that are wanted.
#[derive(Clone, Debug)]
pub struct LowRankGradients<T> {
    /// For the input.
    pub x: Option<T>,
    /// For `A`.
    pub a: Option<T>,
    /// For `B`.
    pub b: Option<T>,
}
