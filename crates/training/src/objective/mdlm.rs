use super::Normalisation;
use crate::Error;
use afterthought_random::Stream;
use serde::{Deserialize, Serialize};

/// A prompt, which is never masked, and its completion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// Token ids of the prompt.
    pub prompt: Vec<u32>,
    /// Token ids of the completion, without padding.
    pub completion: Vec<u32>,
    /// Positions that the completion is padded to with EOS. The padding is masked and counted in
    /// the loss: it is how the model learns to stop (LLaDA section 2.3).
    pub window: usize,
}

/// How the mask rate `t` weighs the cross-entropy of a masked token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeWeight {
    /// `1 / t`: the loss bounds the negative log-likelihood (Sahoo et al. 2024, equation 10).
    #[default]
    Scheduler,
    /// 1: every masked token counts alike.
    Uniform,
}

/// How the masked positions of a completion are drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Noise {
    /// Each token independently with probability `t = (1 - eps) u + eps`, `u ~ U(0, 1)` a
    /// sequence, `eps = 1e-3` (LLaDA GUIDELINES; d1 SFT).
    #[default]
    Bernoulli,
    /// As Bernoulli, but the `u` of a batch of `n` are stratified: `u_i = frac(u_0 + i / n)`
    /// (Kingma et al. 2021, appendix I.1; lower variance, same expectation).
    Stratified,
}

/// Examples masked as a block decoder sees them: blocks before a random one clean, the blocks after
/// it masked, and a uniformly drawn number of tokens masked inside it (the masks of Arriola et al.
/// 2025, BD3-LM, and of SPG's block masking). Their masked tokens have weight 1, whatever the rate.
///
/// Random masks alone rarely show a clean beginning with a masked rest, which is all that
/// semi-autoregressive decoding ever meets.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlockMasks {
    /// Probability that an example is masked this way.
    pub share: f64,
    /// Tokens a block.
    pub block_length: usize,
}

/// Settings of the masked-diffusion loss.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MdlmOptions {
    /// Weight of a masked token.
    pub time_weight: TimeWeight,
    /// How token losses are averaged; counts are completion windows, EOS padding included.
    pub normalisation: Normalisation,
    /// How masks are drawn.
    pub noise: Noise,
    /// A share of examples masked block by block; none by default.
    pub block_masks: Option<BlockMasks>,
}

/// A noised batch and what to predict in it. The loss is `-sum_i weights[i] log p(targets[i])`.
#[derive(Clone, Debug, PartialEq)]
pub struct MaskedBatch {
    /// Noised rows, prompt + window, not yet padded to a common width.
    pub rows: Vec<Vec<u32>>,
    /// Row of each prediction.
    pub row: Vec<usize>,
    /// Column of each prediction.
    pub column: Vec<usize>,
    /// Original token of each prediction.
    pub targets: Vec<u32>,
    /// Weight of each prediction.
    pub weights: Vec<f32>,
}

/// Smallest mask rate.
const EPSILON: f64 = 1e-3;

/// Draws masks for `examples` at `step` and lays out the loss
/// `-(1/norm) sum_i w(t_i) sum_{masked} log p(x_j | noised x_i)` (d1 section 3.1; LLaDA equation 5).
///
/// Masks are a function of (seed, step, index of the example in the batch).
///
/// # Errors
/// [`Error::TooLong`] if a completion exceeds its window.
pub fn mask_batch(
    examples: &[&Example],
    options: &MdlmOptions,
    [mask, eos]: [u32; 2],
    seed: u64,
    step: u64,
) -> Result<MaskedBatch, Error> {
    let windows: Vec<usize> = examples.iter().map(|example| example.window).collect();
    let normalisers = options.normalisation.weights(&windows);
    let shared = Stream::new(seed, "mdlm shared time", step, 0).uniform();
    let mut batch = MaskedBatch {
        rows: Vec::with_capacity(examples.len()),
        row: Vec::new(),
        column: Vec::new(),
        targets: Vec::new(),
        weights: Vec::new(),
    };
    for (index, example) in examples.iter().enumerate() {
        let (found, limit) = (example.completion.len(), example.window);
        if found > limit {
            return Err(Error::TooLong { index, what: "completion", found, limit });
        }
        let mut stream = Stream::new(seed, "mdlm masks", step, index as u64);
        let own = stream.uniform();
        let uniform = match options.noise {
            Noise::Bernoulli => own,
            Noise::Stratified => (shared + index as f64 / examples.len() as f64).fract(),
        };
        let blocks = options.block_masks.filter(|blocks| stream.chance(blocks.share));
        let (hidden, weight) = match blocks {
            Some(blocks) => (block_mask(limit, blocks.block_length, &mut stream), 1.0),
            None => {
                let time = (1.0 - EPSILON) * uniform + EPSILON;
                let hidden = (0..limit).map(|_| stream.chance(time)).collect();
                let weight = match options.time_weight {
                    TimeWeight::Scheduler => 1.0 / time,
                    TimeWeight::Uniform => 1.0,
                };
                (hidden, weight)
            }
        };
        let weight = normalisers[index] * weight;
        let mut row = example.prompt.clone();
        let padding = std::iter::repeat_n(&eos, limit - found);
        for (token, hidden) in example.completion.iter().chain(padding).zip(hidden) {
            if hidden {
                batch.row.push(index);
                batch.column.push(row.len());
                batch.targets.push(*token);
                batch.weights.push(weight as f32);
                row.push(mask);
            } else {
                row.push(*token);
            }
        }
        batch.rows.push(row);
    }
    Ok(batch)
}

/// Which of `length` positions are masked when decoding stands in a random block.
fn block_mask(length: usize, block_length: usize, stream: &mut Stream) -> Vec<bool> {
    let block_length = block_length.clamp(1, length.max(1));
    let start = stream.below(length.div_ceil(block_length).max(1)) * block_length;
    let end = (start + block_length).min(length);
    let mut inside: Vec<usize> = (start..end).collect();
    stream.shuffle(&mut inside);
    let count = 1 + stream.below(inside.len().max(1));
    let mut hidden: Vec<bool> = (0..length).map(|position| position >= end).collect();
    for position in inside.into_iter().take(count) {
        hidden[position] = true;
    }
    hidden
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn block_masks_are_clean_before_and_masked_behind_their_block() {
        let mut stream = Stream::new(5, "test", 0, 0);
        let mut starts = std::collections::BTreeSet::new();
        for _ in 0..200 {
            let hidden = block_mask(10, 4, &mut stream);
            let first = hidden.iter().position(|h| *h).unwrap();
            let block = first / 4;
            assert!(hidden.iter().skip((block + 1) * 4).all(|hidden| *hidden));
            starts.insert(block);
        }
        assert_eq!(starts.len(), 3);
    }

    const MASK: u32 = 9;
    const EOS: u32 = 1;

    fn example() -> Example {
        Example { prompt: vec![2, 3, 4], completion: vec![5, 6], window: 4 }
    }

    fn draw(options: MdlmOptions, step: u64) -> MaskedBatch {
        let example = example();
        mask_batch(&[&example; 8], &options, [MASK, EOS], 11, step).unwrap()
    }

    #[test]
    fn prompts_stay_clean_and_padding_is_predicted() {
        let mut predicted_eos = 0;
        for step in 0..50 {
            let batch = draw(MdlmOptions::default(), step);
            for row in &batch.rows {
                assert_eq!(row[..3], [2, 3, 4]);
                assert_eq!(row.len(), 7);
            }
            for ((row, column), target) in batch.row.iter().zip(&batch.column).zip(&batch.targets) {
                assert_eq!(batch.rows[*row][*column], MASK);
                assert_eq!(*target, [5, 6, EOS, EOS][column - 3]);
                predicted_eos += usize::from(*target == EOS);
            }
        }
        assert!(predicted_eos > 100);
    }

    #[test]
    fn with_one_over_t_the_expected_weight_of_every_token_is_its_normaliser() {
        // E[1(masked) / t] = 1, so a batch's weights sum to 1 on average (token normalisation).
        for noise in [Noise::Bernoulli, Noise::Stratified] {
            let options = MdlmOptions { noise, ..MdlmOptions::default() };
            let steps = 4000;
            let total: f64 =
                (0..steps).flat_map(|step| draw(options, step).weights).map(f64::from).sum::<f64>()
                    / steps as f64;
            assert!((total - 1.0).abs() < 0.05, "{noise:?}: {total}");
        }
    }

    #[test]
    fn stratified_times_cover_the_interval_evenly() {
        let masked = |noise, step| {
            let options = MdlmOptions { noise, ..MdlmOptions::default() };
            draw(options, step).targets.len() as f64
        };
        let variance = |noise| {
            let counts: Vec<f64> = (0..2000).map(|step| masked(noise, step)).collect();
            let mean = counts.iter().sum::<f64>() / counts.len() as f64;
            counts.iter().map(|c| (c - mean).powi(2)).sum::<f64>() / counts.len() as f64
        };
        assert!(variance(Noise::Stratified) < 0.5 * variance(Noise::Bernoulli));
    }

    #[test]
    fn a_completion_longer_than_its_window_is_an_error() {
        let example = Example { window: 1, ..example() };
        let result = mask_batch(&[&example], &MdlmOptions::default(), [MASK, EOS], 0, 0);
        assert!(matches!(result, Err(Error::TooLong { found: 2, limit: 1, .. })));
    }
}
