//! From missing samples to lines of the results.

use afterthought_sampling::autoregressive::Prompt;
use afterthought_text::Tokenizer;

use super::data::Data;
use super::fingerprint::sample_key;
use super::kept::Missing;
use super::line::{Asked, Line};
use super::questions::Questions;
use super::worded::Worded;
use crate::commands::decode::{Engine, Progressed};

/// Decodes and grades batches.
pub(super) struct Writer<'a> {
    pub(super) engine: Engine<'a>,
    pub(super) tokenizer: &'a Tokenizer,
    pub(super) questions: &'a Questions,
    pub(super) data: &'a Data,
    pub(super) worded: &'a Worded,
    pub(super) seed: u64,
}

impl Writer<'_> {
    /// The lines of a batch in the order of its items and samples; `watch` is told the tokens done.
    ///
    /// # Errors
    /// Those of decoding; [`afterthought_sampling::Interrupted`] if the user asked to stop.
    pub(super) fn write(
        &self,
        batch: &[Missing],
        watch: &mut dyn FnMut(u64),
    ) -> anyhow::Result<Vec<Line>> {
        let keys: Vec<Vec<u64>> = batch.iter().map(|missing| self.keys(missing)).collect();
        let prompts: Vec<Prompt<'_>> = (batch.iter().zip(&keys))
            .map(|((index, _), samples)| Prompt { tokens: &self.worded.tokens[*index], samples })
            .collect();
        let mut on_pass = |event: &Progressed<'_>| watch(event.tokens());
        let mut decoded = self.engine.decode(&prompts, self.seed, &mut on_pass)?.into_iter();
        let mut lines = Vec::with_capacity(decoded.len());
        for (index, samples) in batch {
            let asked = self.asked(*index);
            for (sample, decoded) in samples.iter().zip(decoded.by_ref()) {
                let completion = self.tokenizer.decode(&decoded.tokens, false)?;
                lines.push(Line::new(&asked, *sample, &decoded, completion, self.questions));
            }
        }
        Ok(lines)
    }

    fn keys(&self, (index, samples): &Missing) -> Vec<u64> {
        let id = &self.data.items[*index].id;
        samples.iter().map(|sample| sample_key(id, *sample)).collect()
    }

    fn asked(&self, index: usize) -> Asked<'_> {
        let item = &self.data.items[index];
        Asked {
            id: &item.id,
            index,
            prompt_hash: &self.worded.hashes[index],
            prompt: &self.worded.texts[index],
            problem: item.problem.as_ref(),
        }
    }
}
