use afterthought_kernels::inference::{KvBlocks, KvGeometry};
use std::sync::Arc;

/// Keys (rotated) and values of one sequence, for all layers, in f32.
///
/// Memory is taken as positions are written. Forks share what they have in common, and writing to
/// one of them does not show in the others.
#[derive(Debug)]
pub struct KvCache {
    geometry: KvGeometry,
    capacity: usize,
    len: usize,
    /// Whole blocks that forks may share, from position 0 on.
    shared: Vec<Arc<KvBlocks>>,
    /// The blocks after the shared ones.
    own: KvBlocks,
}

impl KvCache {
    pub(super) fn new(geometry: KvGeometry, capacity: usize) -> Self {
        let own = KvBlocks::new(geometry, capacity.div_ceil(KvBlocks::POSITIONS));
        Self { geometry, capacity, len: 0, shared: Vec::new(), own }
    }

    /// Positions that hold keys and values.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no position holds anything.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Most positions.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    pub(super) fn geometry(&self) -> KvGeometry {
        self.geometry
    }

    /// Forgets all positions from `len` on.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// A second cache with the same contents. Both share the memory of what is there already, but
    /// for at most 15 positions.
    pub fn fork(&mut self) -> Self {
        const POSITIONS: usize = KvBlocks::POSITIONS;
        let whole = self.len / POSITIONS;
        self.make_own(whole * POSITIONS);
        let before = self.shared_blocks();
        if whole > before {
            let mut frozen = KvBlocks::new(self.geometry, whole - before);
            frozen.copy_blocks(0, &self.own, 0, whole - before);
            self.shared.push(Arc::new(frozen));
            self.own = self.tail(whole - before);
        }
        Self {
            geometry: self.geometry,
            capacity: self.capacity,
            len: self.len,
            shared: self.shared.clone(),
            own: self.tail(0),
        }
    }

    /// New own blocks with the partly filled one, which is block `from` of the present ones.
    fn tail(&self, from: usize) -> KvBlocks {
        let blocks = self.capacity.div_ceil(KvBlocks::POSITIONS) - self.shared_blocks();
        let mut tail = KvBlocks::new(self.geometry, blocks);
        if !self.len.is_multiple_of(KvBlocks::POSITIONS) {
            tail.copy_blocks(0, &self.own, from, 1);
        }
        tail
    }

    fn shared_blocks(&self) -> usize {
        self.shared.iter().map(|piece| piece.blocks()).sum()
    }

    /// Copies shared memory, so that positions from `position` on can be written.
    pub(super) fn make_own(&mut self, position: usize) {
        while self.shared_blocks() * KvBlocks::POSITIONS > position {
            let Some(piece) = self.shared.pop() else { return };
            let blocks = self.capacity.div_ceil(KvBlocks::POSITIONS) - self.shared_blocks();
            let mut own = KvBlocks::new(self.geometry, blocks);
            own.copy_blocks(0, &piece, 0, piece.blocks());
            let used = self.len.div_ceil(KvBlocks::POSITIONS);
            let rest = used.saturating_sub(self.shared_blocks() + piece.blocks());
            own.copy_blocks(piece.blocks(), &self.own, 0, rest);
            self.own = own;
        }
    }

    /// Sets the length after positions up to `end` have been written.
    pub(super) fn written_to(&mut self, end: usize, causal: bool) {
        // In a causal model, later entries were computed from what has been replaced.
        self.len = if causal { end } else { self.len.max(end) };
    }

    /// Writes one position of a layer; it must not lie in the shared part.
    pub(super) fn write(&mut self, layer: usize, position: usize, keys: &[f32], values: &[f32]) {
        let position = position - self.shared_blocks() * KvBlocks::POSITIONS;
        self.own.write(self.slot(layer), position, keys, values);
    }

    /// A cache with room for one layer serves each in turn, for passes that keep nothing.
    pub(super) fn slot(&self, layer: usize) -> usize {
        layer.min(self.geometry.layers - 1)
    }

    /// The blocks that hold the first `visible` positions.
    pub(super) fn pieces(&self, visible: usize) -> Vec<(&KvBlocks, usize)> {
        let mut rest = visible.div_ceil(KvBlocks::POSITIONS);
        let mut pieces = Vec::with_capacity(self.shared.len() + 1);
        for piece in &self.shared {
            let blocks = piece.blocks().min(rest);
            pieces.push((&**piece, blocks));
            rest -= blocks;
        }
        pieces.push((&self.own, rest));
        pieces
    }
}
