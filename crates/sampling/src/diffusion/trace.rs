/// How one position of a completion came about.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Commit {
    /// The row's denoising step at which the token was committed, from 0 over all blocks.
    pub step: u32,
    /// What the position was ranked by: the token's probability among those not banned, or, with
    /// random remasking, a number from U(0,1).
    pub confidence: f32,
    /// Natural logarithm of the token's probability at that step: under the logits that were used
    /// (guided, or of a cached pass) without temperature, the mask and the suppressed ids left out.
    pub log_prob: f32,
    /// The token was not predicted: it is an EOS put after a block that had one. Its confidence is
    /// 1 and its log-prob 0.
    pub filled: bool,
}

/// One decoded sequence and the trace of its decoding.
#[derive(Clone, Debug, PartialEq)]
pub struct Rollout {
    /// The prompt, as given.
    pub prompt: Vec<u32>,
    /// The completion, `gen_length` ids.
    pub completion: Vec<u32>,
    /// One entry for each id of `completion`.
    pub trace: Vec<Commit>,
    /// Forward passes that this row took part in: two a step under guidance.
    pub model_calls: usize,
    /// Tokens of this row that went through the model, over all passes, padding not counted. A
    /// cached pass counts the tokens that it ran, not those that it attended to.
    pub forward_tokens: usize,
    /// The id that stood for what was not decoded yet.
    pub mask_id: u32,
}

impl Rollout {
    /// Number of positions up to and including the first `eos`; all of them if there is none.
    pub fn completion_len_to_eos(&self, eos: u32) -> usize {
        let first = self.completion.iter().position(|&id| id == eos);
        first.map_or(self.completion.len(), |at| at + 1)
    }

    /// Number of denoising steps.
    pub fn steps(&self) -> u32 {
        self.trace.iter().map(|commit| commit.step + 1).max().unwrap_or(0)
    }

    /// The completion as it stood just before denoising step `step`: tokens committed in earlier
    /// steps, mask elsewhere. From [`steps`](Self::steps) on it is the completion itself.
    pub fn canvas_at_step(&self, step: u32) -> Vec<u32> {
        (self.completion.iter().zip(&self.trace))
            .map(|(&id, commit)| if commit.step < step { id } else { self.mask_id })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canvases_fill_up_in_trace_order() {
        let commit = |step| Commit { step, confidence: 0.5, log_prob: -0.7, filled: false };
        let rollout = Rollout {
            prompt: vec![4],
            completion: vec![7, 1, 8, 1],
            trace: vec![commit(1), commit(0), commit(1), commit(2)],
            model_calls: 3,
            forward_tokens: 15,
            mask_id: 9,
        };
        assert_eq!(rollout.steps(), 3);
        assert_eq!(rollout.canvas_at_step(0), [9, 9, 9, 9]);
        assert_eq!(rollout.canvas_at_step(1), [9, 1, 9, 9]);
        assert_eq!(rollout.canvas_at_step(2), [7, 1, 8, 9]);
        assert_eq!(rollout.canvas_at_step(3), rollout.completion);
        assert_eq!(rollout.canvas_at_step(u32::MAX), rollout.completion);
        assert_eq!(rollout.completion_len_to_eos(1), 2);
        assert_eq!(rollout.completion_len_to_eos(5), 4);
    }
}
