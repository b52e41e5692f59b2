use super::KvCache;

/// What a forward pass is to do for one sequence.
#[derive(Debug)]
pub struct CachedRow<'a> {
    /// The sequence's keys and values. Those of `tokens` are written; what stood at their
    /// positions is replaced.
    pub cache: &'a mut KvCache,
    /// Position of the first of the tokens, at most the length of the cache.
    pub start: usize,
    /// Ids of successive positions.
    pub tokens: &'a [u32],
    /// For bidirectional models: how many positions of the cache the tokens attend to, at least
    /// up to the last of them. Entries computed in earlier passes are used as they are. A token of
    /// a causal model attends to the positions up to its own, whatever this says.
    pub visible: usize,
    /// The tokens, by their index in `tokens`, whose logits are asked for. Where a model's logits
    /// are shifted, the token before a wanted one must be among `tokens`, too, unless it is the
    /// first of the sequence.
    pub wanted: &'a [usize],
}
