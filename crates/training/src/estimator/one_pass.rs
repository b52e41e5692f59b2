use super::{LogProbEstimator, MaskKey, Pass, Scope, Scored};
use afterthought_random::Stream;
use afterthought_sampling::diffusion::Rollout;

/// d1's estimator (section 3.2): all tokens of a completion are scored in one pass on a fully
/// masked completion, `log p(o) ~ sum_k log p(o_k | q')`, where `q'` is the prompt with each token
/// masked independently with probability `prompt_mask`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OnePass {
    /// Probability of masking a prompt token, 0.15 in d1.
    pub prompt_mask: f64,
    /// Positions scored.
    pub scope: Scope,
}

impl LogProbEstimator for OnePass {
    fn passes(&self, rollout: &Rollout, eos: u32, key: MaskKey) -> Vec<Pass> {
        let mut canvas = masked_prompt(rollout, self.prompt_mask, key);
        let start = canvas.len();
        canvas.resize(start + rollout.completion.len(), rollout.mask_id);
        let scored = rollout.completion[..self.scope.len(rollout, eos)]
            .iter()
            .enumerate()
            .map(|(index, token)| Scored { column: start + index, token: *token })
            .collect();
        vec![Pass { canvas, scored }]
    }

    fn follows_trace(&self) -> bool {
        false
    }
}

/// The prompt with tokens masked at random; the draw depends on `key` alone.
pub(super) fn masked_prompt(rollout: &Rollout, probability: f64, key: MaskKey) -> Vec<u32> {
    let MaskKey { seed, step, inner, sample } = key;
    // Inner updates are interleaved into the sample index, so that every one has its own stream.
    let mut stream = Stream::new(seed, "prompt mask", step, sample << 16 | inner);
    rollout
        .prompt
        .iter()
        .map(|token| if stream.chance(probability) { rollout.mask_id } else { *token })
        .collect()
}
