use crate::autoregressive::{CausalModel, Extension};
use afterthought_models::inference::{DecoderCache, DecoderRow, Seq2SeqModel};
use afterthought_models::{EncoderDecoderConfig, Error};

/// A source and a target as one sequence: what it is first extended by is the source, what comes
/// later is the target.
#[derive(Debug)]
pub struct Seq2SeqCache(State);

#[derive(Debug)]
enum State {
    /// Nothing is known but how many tokens source and target may have together.
    Empty { capacity: usize },
    /// The source is encoded, and the start token and later ones are in the decoder's cache.
    Started(DecoderCache),
}

/// Prompts are sources: each goes through the encoder once, and its samples share the keys and
/// values that cross-attention reads. Completions are targets, without the start token.
impl CausalModel for Seq2SeqModel {
    type Cache = Seq2SeqCache;
    type Error = Error;

    fn vocab_size(&self) -> usize {
        self.config().vocab_size
    }

    /// Of source and target together. A source may have half of them.
    fn max_positions(&self) -> usize {
        2 * EncoderDecoderConfig::MAX_POSITIONS
    }

    fn new_cache(&self, capacity: usize) -> Seq2SeqCache {
        Seq2SeqCache(State::Empty { capacity })
    }

    fn fork(&self, cache: &mut Seq2SeqCache) -> Seq2SeqCache {
        Seq2SeqCache(match &mut cache.0 {
            State::Empty { capacity } => State::Empty { capacity: *capacity },
            State::Started(cache) => State::Started(cache.fork()),
        })
    }

    fn extend(
        &self,
        rows: &mut [Extension<'_, Seq2SeqCache>],
        logits: &mut Vec<f32>,
    ) -> Result<(), Error> {
        let start = [self.config().decoder_start_token_id];
        let mut inputs: Vec<&[u32]> = rows.iter().map(|row| row.tokens).collect();
        let is_new =
            |row: &Extension<'_, _>| matches!(row.cache, Seq2SeqCache(State::Empty { .. }));
        let new: Vec<usize> = (0..rows.len()).filter(|at| is_new(&rows[*at])).collect();
        if !new.is_empty() {
            let sources: Vec<&[u32]> = new.iter().map(|at| inputs[*at]).collect();
            for (at, source) in new.into_iter().zip(self.encode(&sources)?) {
                let cache = &mut rows[at].cache.0;
                if let State::Empty { capacity } = cache {
                    let of_target = 1 + capacity.saturating_sub(source.len());
                    *cache = State::Started(Seq2SeqModel::new_cache(self, &source, of_target));
                }
                inputs[at] = &start;
            }
        }
        let last: Vec<[usize; 1]> = inputs.iter().map(|i| [i.len().saturating_sub(1)]).collect();
        let mut targets: Vec<DecoderRow<'_>> = Vec::with_capacity(rows.len());
        for ((row, tokens), wanted) in rows.iter_mut().zip(inputs).zip(&last) {
            // Those that were empty have been started above.
            if let State::Started(cache) = &mut row.cache.0 {
                targets.push(DecoderRow { cache, tokens, wanted });
            }
        }
        self.decode_into(&mut targets, logits)
    }
}
