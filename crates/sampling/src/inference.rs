use crate::DecoderError;
use crate::autoregressive::{CausalModel, Extension};
use crate::diffusion::{CachedCanvas, CachedDenoiser, CanvasBatch, Denoiser};
use afterthought_models::Error;
use afterthought_models::inference::{CachedRow, InferenceModel, KvCache};

impl CausalModel for InferenceModel {
    type Cache = KvCache;
    type Error = Error;

    fn vocab_size(&self) -> usize {
        self.config().vocab_size
    }

    fn max_positions(&self) -> usize {
        self.config().max_positions()
    }

    fn new_cache(&self, capacity: usize) -> KvCache {
        Self::new_cache(self, capacity)
    }

    fn fork(&self, cache: &mut KvCache) -> KvCache {
        cache.fork()
    }

    fn extend(
        &self,
        rows: &mut [Extension<'_, KvCache>],
        logits: &mut Vec<f32>,
    ) -> Result<(), Error> {
        if !self.config().causal {
            let problem = "is false: a bidirectional model does not continue sequences".to_owned();
            return Err(Error::Config { key: "is_causal", problem });
        }
        let last: Vec<[usize; 1]> =
            rows.iter().map(|row| [row.tokens.len().saturating_sub(1)]).collect();
        let mut rows: Vec<CachedRow<'_>> = (rows.iter_mut().zip(&last))
            .map(|(Extension { cache, tokens }, wanted)| {
                let start = cache.len();
                CachedRow { visible: start + tokens.len(), cache, start, tokens, wanted }
            })
            .collect();
        self.forward_into(&mut rows, logits)
    }
}

/// Full passes: nothing is kept from one call to the next.
impl Denoiser for InferenceModel {
    type Error = DecoderError;

    fn vocab_size(&self) -> usize {
        self.config().vocab_size
    }

    fn logits(&self, batch: &CanvasBatch<'_>, positions: &[u32]) -> Result<Vec<f32>, DecoderError> {
        let mut wanted: Vec<Vec<usize>> = vec![Vec::new(); batch.lengths.len()];
        for position in positions {
            let (row, column) =
                (*position as usize / batch.width, *position as usize % batch.width);
            let Some(wanted) = wanted.get_mut(row) else {
                return Err(
                    Error::Batch(format!("position {position} is outside the batch")).into()
                );
            };
            wanted.push(column);
        }
        // Rows of which nothing is asked need no pass.
        let sequences: Vec<(&[u32], &[usize])> = (batch.ids.chunks(batch.width).zip(batch.lengths))
            .zip(&wanted)
            .filter(|(_, wanted)| !wanted.is_empty())
            .map(|((ids, length), wanted)| (&ids[..*length], &wanted[..]))
            .collect();
        if sequences.is_empty() {
            return Ok(Vec::new());
        }
        Ok(Self::logits(self, &sequences)?)
    }
}

impl CachedDenoiser for InferenceModel {
    type Cache = KvCache;

    fn new_cache(&self, capacity: usize) -> KvCache {
        InferenceModel::new_cache(self, capacity)
    }

    fn shifted(&self) -> bool {
        self.config().shifted_logits
    }

    fn logits_cached(
        &self,
        rows: &mut [CachedCanvas<'_, KvCache>],
    ) -> Result<Vec<f32>, DecoderError> {
        let mut rows: Vec<CachedRow<'_>> = (rows.iter_mut())
            .map(|row| CachedRow {
                cache: &mut *row.cache,
                start: row.start,
                tokens: row.ids,
                visible: row.visible,
                wanted: row.wanted,
            })
            .collect();
        Ok(self.forward(&mut rows)?)
    }
}
