use crate::inference::KvCache;
use afterthought_kernels::inference::{KvBlocks, KvGeometry};
use std::sync::Arc;

/// The keys and values of one source for the cross-attention of every decoder block. Copies share
/// them.
#[derive(Clone, Debug)]
pub struct EncodedSource {
    pub(super) blocks: Arc<KvBlocks>,
    pub(super) len: usize,
}

impl EncodedSource {
    /// Tokens of the source.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Never: sources have tokens.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether both are copies of one.
    pub fn shares(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.blocks, &other.blocks)
    }
}

/// A source, and keys and values of the target's tokens so far.
#[derive(Debug)]
pub struct DecoderCache {
    pub(super) source: EncodedSource,
    pub(super) own: KvCache,
}

impl DecoderCache {
    pub(super) fn new(source: EncodedSource, geometry: KvGeometry, capacity: usize) -> Self {
        Self { source, own: KvCache::new(geometry, capacity) }
    }

    /// Tokens of the target that hold keys and values.
    pub fn len(&self) -> usize {
        self.own.len()
    }

    /// Whether no token does.
    pub fn is_empty(&self) -> bool {
        self.own.is_empty()
    }

    /// Most tokens.
    pub fn capacity(&self) -> usize {
        self.own.capacity()
    }

    /// What the target is decoded from.
    pub fn source(&self) -> &EncodedSource {
        &self.source
    }

    /// A second cache with the same contents, which then goes its own way.
    pub fn fork(&mut self) -> Self {
        Self { source: self.source.clone(), own: self.own.fork() }
    }
}

/// What a pass of the decoder is to do for one target.
#[derive(Debug)]
pub struct DecoderRow<'a> {
    /// The target's cache, to which the tokens are appended.
    pub cache: &'a mut DecoderCache,
    /// The decoder's next inputs.
    pub tokens: &'a [u32],
    /// The tokens, by their index in `tokens`, whose logits are asked for.
    pub wanted: &'a [usize],
}
