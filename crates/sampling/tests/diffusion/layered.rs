//! A model with keys that go stale: two layers of hashes.

use std::sync::Mutex;

use crate::denoisers::{Broken, mix, unit};
use afterthought_sampling::diffusion::{CachedCanvas, CachedDenoiser, CanvasBatch, Denoiser};

/// Layer 1 makes a key of each token and its position, layer 2 a key of all keys of layer 1, the
/// logits hash all keys of layer 2. Without influence a position's logits depend on its own layer 1
/// key only.
pub(crate) struct Layered {
    pub(crate) vocab_size: usize,
    pub(crate) peak: f32,
    pub(crate) influence: bool,
    /// What each pass ran of each row.
    pub(crate) seen: Mutex<Vec<Vec<Part>>>,
}

/// First position and tokens.
pub(crate) type Part = (usize, Vec<u32>);

/// The first layer's key.
pub(crate) fn first(id: u32, position: usize) -> u64 {
    mix(u64::from(id) ^ mix(position as u64 + 1))
}

/// What a position gathers from the keys it attends to.
pub(crate) fn gather(position: usize, keys: impl Iterator<Item = u64>) -> u64 {
    keys.fold(mix(position as u64 + 99), |hash, key| mix(hash ^ key))
}

/// The logits that a position's gathered keys give.
pub(crate) fn read_out(vocab_size: usize, peak: f32, state: u64) -> Vec<f32> {
    (0..vocab_size as u64).map(|v| peak * unit(mix(state ^ mix(v + 77)))).collect()
}

impl Layered {
    pub(crate) fn new(vocab_size: usize, peak: f32, influence: bool) -> Self {
        Self { vocab_size, peak, influence, seen: Mutex::default() }
    }

    fn row(&self, row: &mut CachedCanvas<'_, Vec<[u64; 2]>>) -> Vec<f32> {
        let own = row.start..row.start + row.ids.len();
        assert!(own.end <= row.visible && row.visible <= row.cache.len());
        assert!(row.wanted.is_sorted_by(|a, b| a < b));
        for (position, &id) in own.clone().zip(row.ids) {
            row.cache[position][0] = first(id, position);
        }
        let gathered = |cache: &[[u64; 2]], position: usize, layer: usize| match self.influence {
            true => gather(position, cache[..row.visible].iter().map(|keys| keys[layer])),
            false => cache[position][layer],
        };
        for position in own {
            row.cache[position][1] = gathered(row.cache, position, 0);
        }
        let logits = |&offset: &usize| {
            let state = gathered(row.cache, row.start + offset, 1);
            read_out(self.vocab_size, self.peak, state)
        };
        row.wanted.iter().flat_map(logits).collect()
    }
}

impl Denoiser for Layered {
    type Error = Broken;

    fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    fn logits(&self, batch: &CanvasBatch<'_>, positions: &[u32]) -> Result<Vec<f32>, Broken> {
        let mut out = Vec::new();
        for &position in positions {
            let (row, column) = (position as usize / batch.width, position as usize % batch.width);
            let ids = &batch.ids[row * batch.width..][..batch.lengths[row]];
            let cache = &mut vec![[0; 2]; ids.len()];
            let wanted = &[column];
            out.extend(self.row(&mut CachedCanvas {
                cache,
                start: 0,
                ids,
                visible: ids.len(),
                wanted,
            }));
        }
        Ok(out)
    }
}

impl CachedDenoiser for Layered {
    type Cache = Vec<[u64; 2]>;

    fn new_cache(&self, capacity: usize) -> Self::Cache {
        vec![[u64::MAX; 2]; capacity]
    }

    fn logits_cached(
        &self,
        rows: &mut [CachedCanvas<'_, Self::Cache>],
    ) -> Result<Vec<f32>, Broken> {
        let parts = rows.iter().map(|row| (row.start, row.ids.to_vec())).collect();
        self.seen.lock().unwrap().push(parts);
        Ok(rows.iter_mut().flat_map(|row| self.row(row)).collect())
    }
}
