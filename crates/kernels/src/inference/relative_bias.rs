//! Biases on scores that depend on how far a key is from its query.

/// One value for each head and each offset `key - query`, as a query reads them: in the order of
/// its keys.
#[derive(Debug)]
pub struct RelativeBias {
    /// Largest `query - key`.
    before: usize,
    /// Offsets of a head, `before` and zero included.
    offsets: usize,
    /// heads x offsets, from `-before` on.
    values: Vec<f32>,
}

impl RelativeBias {
    /// For offsets from `-before` to `after`; `value` gives the bias of a head and an offset.
    pub fn new(
        heads: usize,
        before: usize,
        after: usize,
        mut value: impl FnMut(usize, isize) -> f32,
    ) -> Self {
        let offsets = before + 1 + after;
        let mut values = Vec::with_capacity(heads * offsets);
        for head in 0..heads {
            // Lengths of slices, and so offsets, fit into isize.
            values.extend((0..offsets).map(|at| value(head, at as isize - before as isize)));
        }
        Self { before, offsets, values }
    }

    /// Whether offsets from `-before` to `after` are covered.
    pub fn covers(&self, before: usize, after: usize) -> bool {
        before <= self.before && self.before + after < self.offsets
    }

    /// The biases of a head's query at `position` for the keys `0..keys`.
    ///
    /// # Panics
    /// If an offset is not covered.
    pub(super) fn line(&self, head: usize, position: usize, keys: usize) -> &[f32] {
        assert!(position <= self.before, "the bias reaches back {} positions", self.before);
        let first = self.before - position;
        assert!(first + keys <= self.offsets, "the bias does not reach {keys} keys");
        &self.values[head * self.offsets + first..][..keys]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_hold_the_offsets_of_their_keys() {
        let bias = RelativeBias::new(3, 4, 2, |head, offset| head as f32 * 100.0 + offset as f32);
        assert_eq!(bias.line(0, 0, 3), [0.0, 1.0, 2.0]);
        assert_eq!(bias.line(2, 3, 6), [197.0, 198.0, 199.0, 200.0, 201.0, 202.0]);
        assert_eq!(bias.line(1, 4, 1), [96.0]);
        assert!(bias.covers(4, 2) && !bias.covers(5, 0) && !bias.covers(0, 3));
    }
}
