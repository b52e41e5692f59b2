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
        Self::scaled(inverse_frequencies, 1.0, positions)
    }

    /// [`new`](Self::new) with cosines and sines times `factor`, so that scores grow by its
    /// square (the attention factor of YaRN, arXiv:2309.00071).
    pub fn scaled(inverse_frequencies: &[f64], factor: f64, positions: usize) -> Self {
        let half = inverse_frequencies.len();
        let (mut cos, mut sin) = (Vec::new(), Vec::new());
        for position in 0..positions {
            for frequency in inverse_frequencies {
                let angle = position as f64 * frequency;
                cos.push((angle.cos() * factor) as f32);
                sin.push((angle.sin() * factor) as f32);
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

/// The rotary tables of a batch.
#[derive(Clone, Debug)]
pub enum Rotary {
    /// One for all rows; covers the width of the batch.
    Shared(Arc<RotaryTable>),
    /// One a row, where frequencies depend on the length of the sequence; each covers its row.
    Rows(Arc<[Arc<RotaryTable>]>),
}

impl Rotary {
    /// The table of a row.
    pub(crate) fn row(&self, row: usize) -> &RotaryTable {
        match self {
            Self::Shared(table) => table,
            Self::Rows(tables) => &tables[row],
        }
    }
}

impl From<Arc<RotaryTable>> for Rotary {
    fn from(table: Arc<RotaryTable>) -> Self {
        Self::Shared(table)
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

    /// The usual factor on the scores, `1 / sqrt(head_dim)` (Vaswani et al. 2017).
    pub fn scale(self) -> f32 {
        1.0 / (self.head_dim as f32).sqrt()
    }

    /// Values of the keys and values of a row.
    pub fn keys_values(self) -> usize {
        2 * self.kv_heads * self.head_dim
    }

    fn check(self) {
        let Self { heads, kv_heads, .. } = self;
        assert!(
            kv_heads > 0 && heads.is_multiple_of(kv_heads),
            "{kv_heads} key/value heads do not divide {heads} heads"
        );
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
    /// If set, position `i` sees only positions above `i - window` (sliding-window attention,
    /// arXiv:2310.06825); for causal attention.
    pub window: Option<usize>,
    /// Factor on the products of queries and keys: [`HeadLayout::scale`], or 1 where the weights
    /// were trained without one (T5).
    pub scale: f32,
    /// Rotary angles applied to queries and keys; `None` for no position information.
    pub rotary: Option<Rotary>,
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
        self.layout.check();
        check_lengths(&self.lengths, rows, width);
        assert!(self.window != Some(0), "an empty window");
        assert!(self.causal || self.window.is_none(), "a window of bidirectional attention");
        let fits = |table: &RotaryTable, positions: usize| {
            let head_dim = self.layout.head_dim;
            assert_eq!(table.head_dim(), head_dim, "rotary table is for another head width");
            assert!(table.positions() >= positions, "rotary table is shorter than {positions}");
        };
        match &self.rotary {
            None => {}
            Some(Rotary::Shared(table)) => fits(table, width),
            Some(Rotary::Rows(tables)) => {
                assert_eq!(tables.len(), rows, "one rotary table a row");
                tables.iter().zip(&self.lengths[..]).for_each(|(table, len)| fits(table, *len));
            }
        }
    }
}

/// Geometry and masking of attention from the positions of one batch to those of another with the
/// same rows, as from a decoder to an encoder. Every query of a row sees every key of that row.
#[derive(Clone, Debug)]
pub struct CrossAttentionSpec {
    /// Heads. Queries stand in rows of [`HeadLayout::keys`] values, keys and values in rows of
    /// [`HeadLayout::keys_values`].
    pub layout: HeadLayout,
    /// Factor on the products of queries and keys.
    pub scale: f32,
    /// Real queries of each row; the outputs of later ones are zero.
    pub lengths: Arc<[usize]>,
    /// Real keys of each row; later ones are not attended to. Without any the output is zero.
    pub key_lengths: Arc<[usize]>,
}

impl CrossAttentionSpec {
    /// Checks that the geometry is consistent with rows of `width` queries and `key_width` keys.
    ///
    /// # Panics
    /// If it is not.
    pub(crate) fn check(&self, width: usize, key_width: usize) {
        self.layout.check();
        check_lengths(&self.lengths, self.key_lengths.len(), width);
        check_lengths(&self.key_lengths, self.lengths.len(), key_width);
    }
}

fn check_lengths(lengths: &[usize], rows: usize, width: usize) {
    assert_eq!(lengths.len(), rows, "one length a row");
    assert!(lengths.iter().all(|length| *length <= width), "a length exceeds {width}");
}
