use super::embedding::Embedding;
use super::pass::{Buffers, Pass};
use super::{CachedRow, KvCache, check};
use crate::rotary::RotaryTables;
use crate::{DecoderConfig, Error};
use afterthought_kernels::inference::{KvGeometry, PackedLinear};
use std::sync::{Mutex, PoisonError};

/// Frozen weights of a decoder, laid out for fast forward passes on the CPU.
///
/// In bf16 weights are rounded once, when they are packed; activations are rounded where they
/// enter a product, as everywhere in that precision. Attention, norms and the residual stream are
/// f32.
#[derive(Debug)]
pub struct InferenceModel {
    pub(super) config: DecoderConfig,
    pub(super) embedding: Embedding,
    pub(super) layers: Vec<Layer>,
    pub(super) norm: Vec<f32>,
    pub(super) head: PackedLinear,
    pub(super) rotary: RotaryTables,
    /// Those of passes that are over, for the next ones.
    pub(super) buffers: Mutex<Vec<Buffers>>,
}

/// One transformer block.
#[derive(Debug)]
pub(super) struct Layer {
    pub(super) input_norm: Vec<f32>,
    /// Queries, keys and values, one below the other.
    pub(super) qkv: PackedLinear,
    pub(super) bias: Option<Vec<f32>>,
    pub(super) qk_norm: Option<[Vec<f32>; 2]>,
    pub(super) o: PackedLinear,
    pub(super) o_bias: Option<Vec<f32>>,
    pub(super) feed_forward_norm: Vec<f32>,
    /// Gated, unless there are biases.
    pub(super) gate_up: PackedLinear,
    pub(super) gate_up_bias: Option<Vec<f32>>,
    pub(super) down: PackedLinear,
    pub(super) down_bias: Option<Vec<f32>>,
}

impl InferenceModel {
    /// The settings.
    pub fn config(&self) -> &DecoderConfig {
        &self.config
    }

    /// Bytes that the weights take.
    pub fn bytes(&self) -> usize {
        let layer = |layer: &Layer| {
            [&layer.qkv, &layer.o, &layer.gate_up, &layer.down].map(PackedLinear::bytes)
        };
        let layers: usize = self.layers.iter().flat_map(layer).sum();
        layers + self.embedding.bytes() + self.head.bytes()
    }

    /// An empty cache for at most `capacity` positions.
    pub fn new_cache(&self, capacity: usize) -> KvCache {
        KvCache::new(self.geometry(self.config.num_hidden_layers), capacity)
    }

    fn geometry(&self, layers: usize) -> KvGeometry {
        let config = &self.config;
        KvGeometry { layers, kv_heads: config.num_key_value_heads, head_dim: config.head_dim }
    }

    /// One pass over the new tokens of several sequences, which need not be equally many. Returns
    /// `[sum of wanted, vocab]` logits, in the order of the rows and of their `wanted`: those of
    /// the predictions for the wanted tokens (of a causal model: for what follows them).
    ///
    /// # Errors
    /// [`Error::TokenId`], or [`Error::CachedRow`] for a row that does not fit its cache or the
    /// model; no cache is changed then.
    pub fn forward(&self, rows: &mut [CachedRow<'_>]) -> Result<Vec<f32>, Error> {
        let mut logits = Vec::new();
        self.forward_into(rows, &mut logits)?;
        Ok(logits)
    }

    /// [`forward`](Self::forward) into a buffer, whose contents are replaced: for callers that
    /// make many passes.
    ///
    /// # Errors
    /// Those of [`forward`](Self::forward).
    pub fn forward_into(
        &self,
        rows: &mut [CachedRow<'_>],
        logits: &mut Vec<f32>,
    ) -> Result<(), Error> {
        let geometry = self.geometry(self.config.num_hidden_layers);
        check::rows(&self.config, geometry, rows)?;
        self.with_buffers(|buffers| Pass::new(self, rows, buffers).run(logits));
        Ok(())
    }

    /// Logits of whole sequences, each with the indices of the tokens that are asked for. Nothing
    /// is kept: a pass takes the memory of one layer's keys and values.
    ///
    /// # Errors
    /// Those of [`forward`](Self::forward).
    pub fn logits(&self, sequences: &[(&[u32], &[usize])]) -> Result<Vec<f32>, Error> {
        let geometry = self.geometry(1);
        let mut logits = Vec::new();
        self.with_buffers(|buffers| {
            let mut caches = std::mem::take(&mut buffers.caches);
            caches.resize_with(caches.len().max(sequences.len()), || KvCache::new(geometry, 0));
            for (cache, (tokens, _)) in caches.iter_mut().zip(sequences) {
                cache.truncate(0);
                if cache.capacity() < tokens.len() {
                    *cache = KvCache::new(geometry, tokens.len());
                }
            }
            let mut rows: Vec<CachedRow<'_>> = (caches.iter_mut().zip(sequences))
                .map(|(cache, (tokens, wanted))| CachedRow {
                    cache,
                    start: 0,
                    tokens,
                    visible: tokens.len(),
                    wanted,
                })
                .collect();
            let checked = check::rows(&self.config, geometry, &rows);
            if checked.is_ok() {
                Pass::new(self, &mut rows, buffers).run(&mut logits);
            }
            buffers.caches = caches;
            checked
        })?;
        Ok(logits)
    }

    /// Runs `work` on the threads of the pool, with buffers of an earlier pass if there are any.
    fn with_buffers<R: Send>(&self, work: impl FnOnce(&mut Buffers) -> R + Send) -> R {
        let pool = || self.buffers.lock().unwrap_or_else(PoisonError::into_inner);
        let mut buffers = pool().pop().unwrap_or_default();
        // On a thread of the pool the small parallel steps of a pass need not wake another one.
        let result = rayon::scope(|_| work(&mut buffers));
        pool().push(buffers);
        result
    }
}
