//! What an attention operation needs to know besides its tensors.

use std::sync::Arc;

/// Cosines and sines of the rotary angles, `positions x head_dim / 2`, row-major.
#[derive(Debug)]
pub struct RotaryTable {
    pub(crate) cos: Vec<f32>,
    pub(crate) sin: Vec<f32>,
    half: usize,
}

impl RotaryTable {
    /// The table for positions `0..positions` from the inverse frequency of each pair of
    /// dimensions (radians a position).
    pub fn new(inverse_frequencies: &[f64], positions: usize) -> Self {
        let half = inverse_frequencies.len();
        let (mut cos, mut sin) = (Vec::new(), Vec::new());
        for position in 0..positions {
            for frequency in inverse_frequencies {
                let angle = position as f64 * frequency;
                cos.push(angle.cos() as f32);
                sin.push(angle.sin() as f32);
            }
        }
        Self { cos, sin, half }
    }

    /// Standard RoPE: `theta^(-2i / head_dim)` for `i` in `0..head_dim / 2`.
    pub fn standard(theta: f64, head_dim: usize, positions: usize) -> Self {
        let frequencies: Vec<f64> =
            (0..head_dim / 2).map(|i| theta.powf(-2.0 * i as f64 / head_dim as f64)).collect();
        Self::new(&frequencies, positions)
    }

    /// How many positions the table covers.
    pub fn positions(&self) -> usize {
        self.cos.len().checked_div(self.half).unwrap_or(usize::MAX)
    }

    /// Head dimension the table is for.
    pub fn head_dim(&self) -> usize {
        2 * self.half
    }
}

/// How queries, keys and values of a position stand side by side in one row: query heads, key heads,
/// value heads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLayout {
    /// Query heads.
    pub heads: usize,
    /// Key and value heads; divides `heads` (grouped-query attention).
    pub kv_heads: usize,
    /// Width of one head.
    pub head_dim: usize,
}

impl HeadLayout {
    /// Values of a row.
    pub fn width(self) -> usize {
        (self.heads + 2 * self.kv_heads) * self.head_dim
    }

    /// Values of the queries of a row, and where its keys begin.
    pub fn keys(self) -> usize {
        self.heads * self.head_dim
    }

    /// Where the values of a row begin.
    pub fn values(self) -> usize {
        (self.heads + self.kv_heads) * self.head_dim
    }

    /// Factor on the scores, `1 / sqrt(head_dim)`.
    pub fn scale(self) -> f32 {
        1.0 / (self.head_dim as f32).sqrt()
    }

    /// Query heads that share key/value head `kv_head`.
    pub(crate) fn group(self, kv_head: usize) -> std::ops::Range<usize> {
        let group = self.heads / self.kv_heads;
        kv_head * group..(kv_head + 1) * group
    }
}

/// Geometry and masking of one attention call.
#[derive(Clone, Debug)]
pub struct AttentionSpec {
    /// Heads, and how they stand in a row.
    pub layout: HeadLayout,
    /// Whether position `i` sees only positions `0..=i`.
    pub causal: bool,
    /// Rotary angles applied to queries and keys; `None` for no position information.
    pub rotary: Option<Arc<RotaryTable>>,
    /// Real length of each row of the batch: later positions are padding. They are not attended
    /// to, and their outputs are zero.
    pub lengths: Arc<[usize]>,
}

impl AttentionSpec {
    /// Checks that the geometry is consistent with a batch of `rows` rows of `width` positions.
    ///
    /// # Panics
    /// If it is not: shapes are the caller's responsibility, checked where data enters.
    pub(crate) fn check(&self, rows: usize, width: usize) {
        let HeadLayout { heads, kv_heads, head_dim } = self.layout;
        assert!(
            kv_heads > 0 && heads.is_multiple_of(kv_heads),
            "{kv_heads} key/value heads do not divide {heads} heads"
        );
        assert_eq!(self.lengths.len(), rows, "one length a row");
        assert!(self.lengths.iter().all(|length| *length <= width), "a length exceeds {width}");
        if let Some(rotary) = &self.rotary {
            assert_eq!(rotary.head_dim(), head_dim, "rotary table is for another head width");
            assert!(rotary.positions() >= width, "rotary table is shorter than {width} positions");
        }
    }
}
