use super::activations::Activations;
use super::cache::{DecoderCache, DecoderRow, EncodedSource};
use super::decode::Decode;
use super::layer::Stack;
use super::{check, encode};
use crate::Error;
use crate::encoder_decoder::EncoderDecoderConfig;
use crate::inference::embedding::Embedding;
use afterthought_kernels::inference::{KvGeometry, PackedLinear};
use std::sync::{Mutex, PoisonError};

/// Frozen weights of an encoder-decoder, laid out for fast forward passes on the CPU; precision is
/// as in [`InferenceModel`](crate::inference::InferenceModel).
#[derive(Debug)]
pub struct Seq2SeqModel {
    pub(super) config: EncoderDecoderConfig,
    pub(super) embedding: Embedding,
    pub(super) encoder: Stack,
    pub(super) decoder: Stack,
    pub(super) head: PackedLinear,
    /// Those of passes that are over, for the next ones.
    pub(super) buffers: Mutex<Vec<Activations>>,
}

impl Seq2SeqModel {
    /// The settings.
    pub fn config(&self) -> &EncoderDecoderConfig {
        &self.config
    }

    /// Bytes that the weights take.
    pub fn bytes(&self) -> usize {
        let layers = self.encoder.layers.iter().chain(&self.decoder.layers);
        let layers: usize = layers.map(|layer| layer.bytes()).sum();
        layers + self.embedding.bytes() + self.head.bytes()
    }

    /// Runs the encoder on sources of any lengths and computes what the decoder attends to.
    ///
    /// # Errors
    /// [`Error::TokenId`], or [`Error::Batch`] if there is no source, or one is empty or too long.
    pub fn encode(&self, sources: &[&[u32]]) -> Result<Vec<EncodedSource>, Error> {
        check::sources(&self.config, sources)?;
        Ok(self.with_buffers(|buffers| encode::run(self, sources, buffers)))
    }

    /// An empty cache for at most `capacity` tokens of a target. Caches of one source share its keys
    /// and values.
    pub fn new_cache(&self, source: &EncodedSource, capacity: usize) -> DecoderCache {
        DecoderCache::new(source.clone(), self.geometry(self.config.num_decoder_layers), capacity)
    }

    /// One pass of the decoder over the new tokens of several targets, which need not be equally
    /// many. `logits` becomes `[sum of wanted, vocab]`, in the order of the rows and of their
    /// `wanted`.
    ///
    /// # Errors
    /// [`Error::TokenId`], or [`Error::CachedRow`] for a row that does not fit its cache or the
    /// model; no cache is changed then.
    pub fn decode_into(
        &self,
        rows: &mut [DecoderRow<'_>],
        logits: &mut Vec<f32>,
    ) -> Result<(), Error> {
        check::rows(&self.config, self.geometry(self.config.num_decoder_layers), rows)?;
        self.with_buffers(|buffers| Decode::new(self, rows, buffers).run(logits));
        Ok(())
    }

    pub(super) fn geometry(&self, layers: usize) -> KvGeometry {
        KvGeometry { layers, kv_heads: self.config.num_heads, head_dim: self.config.d_kv }
    }

    /// Runs `work` on the threads of the pool, with buffers of an earlier pass if there are any.
    fn with_buffers<R: Send>(&self, work: impl FnOnce(&mut Activations) -> R + Send) -> R {
        let pool = || self.buffers.lock().unwrap_or_else(PoisonError::into_inner);
        let mut buffers = pool().pop().unwrap_or_default();
        // On a thread of the pool the small parallel steps of a pass need not wake another one.
        let result = rayon::scope(|_| work(&mut buffers));
        pool().push(buffers);
        result
    }
}
