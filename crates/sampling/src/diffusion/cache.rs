use std::fmt;
use std::ops::Range;

/// Which keys and values a denoising step recomputes (Fast-dLLM, arXiv:2505.22618, section 3.2).
///
/// In the cached modes the first pass of each block runs the whole row, fills the cache and
/// commits; the later passes of the block run a part of the row and attend to what the cache holds
/// of the rest, which is out of date wherever it was computed before the block's latest commits.
/// The tokens are then drawn from other distributions than the model's own: the behaviour policy of
/// a cached rollout is not the exact one. Its trace holds what the cached passes said. An estimator
/// that recomputes log-probabilities on the trace's canvases, such as trace replay or an importance
/// ratio, needs [`Exact`](Self::Exact) rollouts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CacheMode {
    /// Every pass runs the whole row.
    #[default]
    Exact,
    /// The later passes of a block run everything from the start of the block.
    PrefixCache,
    /// The later passes of a block run the block only.
    DualCache,
}

impl CacheMode {
    /// The short name: "exact", "prefix" or "dual".
    pub fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::PrefixCache => "prefix",
            Self::DualCache => "dual",
        }
    }

    /// Positions of a row of `len` tokens that pass `pass` of the block at `block` runs.
    pub(super) fn window(self, pass: usize, block: Range<usize>, len: usize) -> Range<usize> {
        match self {
            Self::PrefixCache if pass > 0 => block.start..len,
            Self::DualCache if pass > 0 => block,
            _ => 0..len,
        }
    }
}

impl fmt::Display for CacheMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
