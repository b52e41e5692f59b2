//! A model whose next-token distribution is a formula of the last two tokens.

use afterthought_sampling::autoregressive::{CausalModel, Extension};

pub(crate) const VOCAB: usize = 5;
pub(crate) const EOS: u32 = 0;

#[derive(Debug, Default)]
pub(crate) struct Toy {
    /// Sequences of at least this length get NaN.
    pub(crate) bad_after: Option<usize>,
}

impl Toy {
    fn logits(tokens: &[u32]) -> Vec<f32> {
        let last = tokens[tokens.len() - 1] as usize;
        let before = if tokens.len() > 1 { tokens[tokens.len() - 2] as usize } else { 0 };
        let place = |token: usize| (token * 37 + last * 11 + before * 5) as f32;
        (0..VOCAB).map(|token| (place(token) * 0.7).sin() * 1.5).collect()
    }

    pub(crate) fn probabilities(tokens: &[u32], temperature: f64) -> Vec<f64> {
        let weights: Vec<f64> =
            Self::logits(tokens).iter().map(|l| (f64::from(*l) / temperature).exp()).collect();
        let total: f64 = weights.iter().sum();
        weights.iter().map(|weight| weight / total).collect()
    }
}

impl CausalModel for Toy {
    type Cache = Vec<u32>;
    type Error = std::fmt::Error;

    fn vocab_size(&self) -> usize {
        VOCAB
    }

    fn max_positions(&self) -> usize {
        100
    }

    fn new_cache(&self, capacity: usize) -> Vec<u32> {
        Vec::with_capacity(capacity)
    }

    fn fork(&self, cache: &mut Vec<u32>) -> Vec<u32> {
        cache.clone()
    }

    fn extend(
        &self,
        rows: &mut [Extension<'_, Vec<u32>>],
        logits: &mut Vec<f32>,
    ) -> Result<(), std::fmt::Error> {
        logits.clear();
        for row in rows {
            row.cache.extend(row.tokens);
            let bad = self.bad_after.is_some_and(|len| row.cache.len() >= len);
            logits.extend(Self::logits(row.cache).iter().map(|l| if bad { f32::NAN } else { *l }));
        }
        Ok(())
    }
}
