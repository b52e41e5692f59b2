use super::one_pass::masked_prompt;
use super::{LogProbEstimator, MaskKey, Pass, Scope, Scored};
use afterthought_sampling::diffusion::Rollout;

/// StepMerge (Wang et al. 2025, "d2"): the decoding trace of `T` steps is cut into `segments` at
/// steps `floor(j T / N)`; every token is scored on the canvas as it stood at the start of the
/// segment in which it was committed.
///
/// One segment without prompt masking is [`super::OnePass`] without prompt masking, EOS that was
/// filled in rather than predicted left out; as many segments as steps give the exact
/// log-probability of the tokens along the trajectory.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TraceReplay {
    /// `N`; at most the number of decoding steps is used.
    pub segments: usize,
    /// Probability of masking a prompt token.
    pub prompt_mask: f64,
    /// Positions scored.
    pub scope: Scope,
}

impl LogProbEstimator for TraceReplay {
    fn passes(&self, rollout: &Rollout, eos: u32, key: MaskKey) -> Vec<Pass> {
        let steps = rollout.steps() as usize;
        let segments = self.segments.clamp(1, steps.max(1));
        let prompt = masked_prompt(rollout, self.prompt_mask, key);
        let scope = self.scope.len(rollout, eos);
        let boundary = |segment: usize| (segment * steps / segments) as u32;
        (0..segments)
            .filter_map(|segment| {
                let range = boundary(segment)..boundary(segment + 1);
                let scored: Vec<Scored> = rollout.trace[..scope]
                    .iter()
                    .enumerate()
                    .filter(|(_, commit)| range.contains(&commit.step) && !commit.filled)
                    .map(|(index, _)| Scored {
                        column: prompt.len() + index,
                        token: rollout.completion[index],
                    })
                    .collect();
                let mut canvas = prompt.clone();
                canvas.extend(rollout.canvas_at_step(range.start));
                (!scored.is_empty()).then_some(Pass { canvas, scored })
            })
            .collect()
    }

    fn follows_trace(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::super::OnePass;
    use super::*;
    use afterthought_sampling::diffusion::Commit;

    const EOS: u32 = 1;

    fn rollout() -> Rollout {
        let steps = [2, 0, 1, 3, 3, 4];
        let commit = |step| Commit { step, confidence: 0.5, log_prob: -0.7, filled: false };
        Rollout {
            prompt: vec![5, 6, 7],
            completion: vec![10, 11, 12, 13, EOS, EOS],
            trace: steps.into_iter().map(commit).collect(),
            model_calls: 5,
            forward_tokens: 45,
            mask_id: 9,
        }
    }

    fn key(inner: u64) -> MaskKey {
        MaskKey { seed: 3, step: 4, inner, sample: 5 }
    }

    #[test]
    fn one_segment_is_the_one_pass_estimator() {
        for scope in [Scope::ToEos, Scope::Window] {
            let replay = TraceReplay { segments: 1, prompt_mask: 0.0, scope };
            let one = OnePass { prompt_mask: 0.0, scope };
            assert_eq!(replay.passes(&rollout(), EOS, key(0)), one.passes(&rollout(), EOS, key(0)));
        }
    }

    #[test]
    fn every_position_up_to_eos_is_scored_once_on_the_canvas_of_its_segment() {
        for segments in 1..8 {
            let replay = TraceReplay { segments, prompt_mask: 0.0, scope: Scope::ToEos };
            let passes = replay.passes(&rollout(), EOS, key(0));
            let mut seen: Vec<usize> =
                passes.iter().flat_map(|p| p.scored.iter().map(|s| s.column)).collect();
            seen.sort_unstable();
            assert_eq!(seen, [3, 4, 5, 6, 7]);
            for pass in &passes {
                assert!(pass.scored.iter().all(|s| pass.canvas[s.column] == 9));
            }
        }
    }

    #[test]
    fn prompt_masks_change_with_the_inner_update_and_only_with_it() {
        let one = OnePass { prompt_mask: 0.5, scope: Scope::ToEos };
        assert_eq!(one.passes(&rollout(), EOS, key(1)), one.passes(&rollout(), EOS, key(1)));
        let canvases: std::collections::BTreeSet<Vec<u32>> = (0..32)
            .map(|inner| one.passes(&rollout(), EOS, key(inner))[0].canvas[..3].to_vec())
            .collect();
        assert_eq!(canvases.len(), 8);
    }
}
