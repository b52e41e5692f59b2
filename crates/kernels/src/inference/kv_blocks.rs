//! Keys and values of one sequence, in the order in which attention reads them.

use crate::cpu::lanes::LANES;

/// What the keys and values of a model look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KvGeometry {
    /// Transformer blocks.
    pub layers: usize,
    /// Key and value heads of each.
    pub kv_heads: usize,
    /// Width of one head.
    pub head_dim: usize,
}

impl KvGeometry {
    /// Width of a value as stored: whole registers, filled up with zeros.
    pub(super) fn value_width(&self) -> usize {
        self.head_dim.next_multiple_of(LANES)
    }

    /// Values of a block of one head of one layer.
    pub(super) fn block_len(&self) -> usize {
        LANES * (self.head_dim + self.value_width())
    }
}

/// Keys and values of successive positions, in f32, 16 positions a block.
///
/// A block of a head holds the keys with the position running fastest, so that 16 scores are
/// computed side by side, and then the values, a row a position.
#[derive(Clone, Debug)]
pub struct KvBlocks {
    geometry: KvGeometry,
    blocks: usize,
    values: Vec<f32>,
}

impl KvBlocks {
    /// Positions of a block.
    pub const POSITIONS: usize = LANES;

    /// Room for `blocks` blocks. The memory is taken when it is written.
    pub fn new(geometry: KvGeometry, blocks: usize) -> Self {
        let len = geometry.layers * geometry.kv_heads * blocks * geometry.block_len();
        Self { geometry, blocks, values: vec![0.0; len] }
    }

    /// What the keys and values look like.
    pub fn geometry(&self) -> KvGeometry {
        self.geometry
    }

    /// Number of blocks.
    pub fn blocks(&self) -> usize {
        self.blocks
    }

    /// Sets the keys (after the rotation) and values of a position in one layer, `kv_heads *
    /// head_dim` each.
    ///
    /// # Panics
    /// If layer or position does not exist or the rows have another length.
    pub fn write(&mut self, layer: usize, position: usize, keys: &[f32], values: &[f32]) {
        let KvGeometry { layers, kv_heads, head_dim } = self.geometry;
        assert!(layer < layers && position < self.blocks * LANES, "no such position");
        assert!(keys.len() == kv_heads * head_dim && values.len() == keys.len(), "ragged heads");
        let (block, within) = (position / LANES, position % LANES);
        let heads = keys.chunks_exact(head_dim).zip(values.chunks_exact(head_dim));
        for (head, (key, value)) in heads.enumerate() {
            let start = self.start(layer, head) + block * self.geometry.block_len();
            let block = &mut self.values[start..start + self.geometry.block_len()];
            let (to_keys, to_values) = block.split_at_mut(LANES * head_dim);
            for (line, key) in to_keys.as_chunks_mut::<LANES>().0.iter_mut().zip(key) {
                line[within] = *key;
            }
            to_values[within * self.geometry.value_width()..][..head_dim].copy_from_slice(value);
        }
    }

    /// Copies `count` blocks of another sequence, from its block `from` on, to block `to` on.
    ///
    /// # Panics
    /// If a block does not exist or the geometries differ.
    pub fn copy_blocks(&mut self, to: usize, other: &Self, from: usize, count: usize) {
        assert_eq!(self.geometry, other.geometry, "another geometry");
        assert!(to + count <= self.blocks && from + count <= other.blocks, "no such block");
        let len = self.geometry.block_len();
        for layer in 0..self.geometry.layers {
            for head in 0..self.geometry.kv_heads {
                let source = other.start(layer, head) + from * len;
                let target = self.start(layer, head) + to * len;
                self.values[target..target + count * len]
                    .copy_from_slice(&other.values[source..source + count * len]);
            }
        }
    }

    /// The first `count` blocks of a head.
    pub(super) fn head(&self, layer: usize, head: usize, count: usize) -> &[f32] {
        assert!(count <= self.blocks, "no such block");
        &self.values[self.start(layer, head)..][..count * self.geometry.block_len()]
    }

    fn start(&self, layer: usize, head: usize) -> usize {
        (layer * self.geometry.kv_heads + head) * self.blocks * self.geometry.block_len()
    }
}
