use std::fmt;
use std::ops::Range;

/// Which keys and values a denoising step recomputes (Fast-dLLM, arXiv:2505.22618, section 3.2).
///
/// In the cached modes the first pass of each block runs the whole row, fills the cache and
/// commits; [`DiffusionParams::cache_refresh`](super::DiffusionParams::cache_refresh) can ask for
/// that after so many passes instead. The other passes run a part of the row and attend to what the
/// cache holds of the rest, which is out of date wherever it was computed before the latest commits.
/// A first pass of a block that fills nothing begins at the block before, whose tokens are known by
/// now.
///
/// The tokens are then drawn from other distributions than the model's own: the behaviour policy of
/// a cached rollout is not the exact one. Its trace holds what the cached passes said. An estimator
/// that recomputes log-probabilities on the trace's canvases, such as trace replay, needs
/// [`Exact`](Self::Exact) rollouts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CacheMode {
    /// Every pass runs the whole row.
    #[default]
    Exact,
    /// The later passes of a block run everything from the start of the block.
    PrefixCache,
    /// The later passes of a block run the block, and
    /// [`DiffusionParams::cache_ahead`](super::DiffusionParams::cache_ahead) tokens behind it.
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

    /// Positions of a row of `len` tokens that a pass of the block at `block` runs, in dual mode with
    /// `ahead` tokens after the block.
    pub(super) fn window(
        self,
        pass: BlockPass,
        block: Range<usize>,
        ahead: usize,
        len: usize,
    ) -> Range<usize> {
        let start = match pass {
            BlockPass::Refresh => return 0..len,
            // Keys and values of the block before still are those of a block with masks in it.
            BlockPass::First => block.start.saturating_sub(block.len()),
            BlockPass::Later => block.start,
        };
        match self {
            Self::Exact => 0..len,
            Self::PrefixCache => start..len,
            Self::DualCache => start..block.end.saturating_add(ahead).min(len),
        }
    }
}

/// A pass among those of its block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BlockPass {
    /// One that fills the cache anew.
    Refresh,
    /// The first of the block, which does not.
    First,
    /// Any other.
    Later,
}

impl fmt::Display for CacheMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
