//! What decoding reports against what the model says: the trace of a rollout is the trajectory's
//! log-probability, and estimators recompute it.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod tiny;

use afterthought_models::{Batch, Decoder};
use afterthought_sampling::diffusion::{
    CommitRule, DiffusionParams, Remasking, Rollout, SampleKey, generate,
};
use afterthought_training::estimator::{
    LogProbEstimator, MaskKey, OnePass, Scope, TraceReplay, log_probs,
};
use tiny::{BOS, EOS, MASK, config, decoder, sampling, values};

const LENGTH: usize = 8;

fn prompts() -> Vec<Vec<u32>> {
    vec![vec![BOS, 4, 5], vec![BOS, 7], vec![BOS, 6, 6, 6, 4, 5], vec![BOS], vec![BOS, 4, 5]]
}

fn decode(decoder: &Decoder, params: &DiffusionParams, step: u64) -> Vec<Rollout> {
    let key = SampleKey { seed: 11, step, samples: &[0, 1, 2, 3, 4] };
    generate(decoder, &prompts(), params, key).unwrap()
}

/// Blocks, steps, temperatures and remasking of many kinds.
fn kinds() -> Vec<DiffusionParams> {
    let mut kinds = Vec::new();
    for (block_length, steps) in [(8, 8), (8, 3), (4, 4), (2, 8), (1, 8)] {
        for temperature in [0.0, 1.0] {
            for remasking in [Remasking::LowConfidence, Remasking::Random] {
                kinds.push(DiffusionParams {
                    block_length,
                    commit: CommitRule::Schedule { steps },
                    temperature,
                    remasking,
                    ..sampling(LENGTH)
                });
            }
        }
    }
    kinds.push(DiffusionParams { commit: CommitRule::Threshold(0.4), ..sampling(LENGTH) });
    kinds.push(DiffusionParams { stop_after_eos: true, block_length: 2, ..sampling(LENGTH) });
    kinds
}

const KEY: MaskKey = MaskKey { seed: 1, step: 2, inner: 3, sample: 4 };

/// The log-probability of each scored token, placed at its position in the completion.
fn by_position(decoder: &Decoder, rollout: &Rollout, estimator: &dyn LogProbEstimator) -> Vec<f32> {
    let passes = estimator.passes(rollout, EOS, KEY);
    let mut values = log_probs(decoder, &passes, 3).unwrap().into_iter();
    let mut placed = vec![f32::NAN; rollout.completion.len()];
    for scored in passes.iter().flat_map(|pass| &pass.scored) {
        let position = scored.column - rollout.prompt.len();
        assert!(placed[position].is_nan(), "scored twice");
        assert_eq!(scored.token, rollout.completion[position]);
        placed[position] = values.next().unwrap();
    }
    assert_eq!(values.next(), None);
    placed
}

#[test]
fn blocks_of_one_token_are_the_left_to_right_factorisation() {
    let decoder = decoder(config(), 3);
    for temperature in [0.0, 1.0] {
        let params = DiffusionParams {
            block_length: 1,
            commit: CommitRule::Schedule { steps: LENGTH },
            temperature,
            ..sampling(LENGTH)
        };
        for rollout in decode(&decoder, &params, 0) {
            let mut chain = 0.0;
            for position in 0..LENGTH {
                // Everything before is written, everything from here on is masked.
                let written = &rollout.completion[..position];
                let mut row = [&rollout.prompt, written].concat();
                let column = row.len() as u32;
                row.resize(rollout.prompt.len() + LENGTH, MASK);
                let batch = Batch::from_rows(&[row], 0).unwrap();
                let target = [rollout.completion[position]];
                let value = decoder.log_probs_at(&batch, [column].into(), target.into()).unwrap();
                chain += f64::from(values(value)[0]);
                assert_eq!(rollout.trace[position].step as usize, position);
            }
            let trace: f64 = rollout.trace.iter().map(|commit| f64::from(commit.log_prob)).sum();
            assert!((trace - chain).abs() < 1e-5, "{trace} {chain}");
        }
    }
}

#[test]
fn replaying_every_step_gives_the_log_probs_of_the_trace() {
    let decoder = decoder(config(), 3);
    for params in kinds() {
        for rollout in decode(&decoder, &params, 1) {
            for scope in [Scope::Window, Scope::ToEos] {
                let segments = rollout.steps() as usize;
                let replay = TraceReplay { segments, prompt_mask: 0.0, scope };
                let values = by_position(&decoder, &rollout, &replay);
                for (position, (value, commit)) in values.iter().zip(&rollout.trace).enumerate() {
                    let scored = position < scope.len(&rollout, EOS) && !commit.filled;
                    assert_eq!(!value.is_nan(), scored, "{params:?}");
                    if scored {
                        assert!((value - commit.log_prob).abs() < 1e-5, "{params:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn replaying_one_segment_is_the_one_pass_estimate() {
    let decoder = decoder(config(), 3);
    for params in kinds().iter().filter(|params| !params.stop_after_eos) {
        for rollout in decode(&decoder, params, 2) {
            for scope in [Scope::Window, Scope::ToEos] {
                for prompt_mask in [0.0, 0.4] {
                    let replay = TraceReplay { segments: 1, prompt_mask, scope };
                    let one = OnePass { prompt_mask, scope };
                    let expected = one.passes(&rollout, EOS, KEY);
                    assert_eq!(replay.passes(&rollout, EOS, KEY), expected);
                    assert_eq!(expected.len(), 1);
                }
            }
        }
    }
}

#[test]
fn the_one_pass_estimate_is_the_trace_when_everything_is_committed_at_once() {
    let decoder = decoder(config(), 3);
    let params = DiffusionParams { commit: CommitRule::Schedule { steps: 1 }, ..sampling(LENGTH) };
    for rollout in decode(&decoder, &params, 3) {
        let one = OnePass { prompt_mask: 0.0, scope: Scope::Window };
        let values = by_position(&decoder, &rollout, &one);
        for (value, commit) in values.iter().zip(&rollout.trace) {
            assert!((value - commit.log_prob).abs() < 1e-5);
        }
    }
}

#[test]
fn masked_prompts_are_masked_at_their_rate_and_change_the_estimate() {
    let decoder = decoder(config(), 3);
    let params = DiffusionParams { commit: CommitRule::Schedule { steps: 4 }, ..sampling(LENGTH) };
    let rollout = decode(&decoder, &params, 4).remove(2);
    let one = OnePass { prompt_mask: 0.25, scope: Scope::ToEos };
    let (mut masked, draws) = (0, 2000);
    for inner in 0..draws {
        let passes = one.passes(&rollout, EOS, MaskKey { inner, ..KEY });
        let prompt = &passes[0].canvas[..rollout.prompt.len()];
        for (found, original) in prompt.iter().zip(&rollout.prompt) {
            assert!(found == original || *found == MASK);
            masked += usize::from(*found == MASK);
        }
        assert!(passes[0].canvas[rollout.prompt.len()..].iter().all(|id| *id == MASK));
    }
    // Binomial with n = 12000 and p = 1/4: 3000 +- 5 * 47.
    assert!((masked as f64 - 3000.0).abs() < 240.0, "{masked}");
    let all = OnePass { prompt_mask: 1.0, scope: Scope::ToEos };
    let none = OnePass { prompt_mask: 0.0, scope: Scope::ToEos };
    let values = |estimator: &OnePass| {
        log_probs(&decoder, &estimator.passes(&rollout, EOS, KEY), 1).unwrap()
    };
    assert_ne!(values(&all), values(&none));
}

#[test]
fn batched_rollouts_equal_single_ones() {
    let decoder = decoder(config(), 3);
    for params in kinds() {
        let together = decode(&decoder, &params, 5);
        for max_rows in [1, 2, 4] {
            let params = DiffusionParams { max_rows, ..params.clone() };
            assert_same(&together, &decode(&decoder, &params, 5));
        }
        for (sample, (prompt, expected)) in prompts().into_iter().zip(&together).enumerate() {
            let key = SampleKey { seed: 11, step: 5, samples: &[sample as u64] };
            let alone = generate(&decoder, &[prompt], &params, key).unwrap();
            assert_same(std::slice::from_ref(expected), &alone);
        }
    }
}

/// The same tokens in the same order; log-probs up to rounding.
fn assert_same(expected: &[Rollout], got: &[Rollout]) {
    assert_eq!(expected.len(), got.len());
    for (a, b) in expected.iter().zip(got) {
        assert_eq!((&a.completion, &a.prompt), (&b.completion, &b.prompt));
        assert_eq!((a.model_calls, a.forward_tokens), (b.model_calls, b.forward_tokens));
        for (x, y) in a.trace.iter().zip(&b.trace) {
            assert_eq!((x.step, x.filled), (y.step, y.filled));
            assert!((x.log_prob - y.log_prob).abs() < 1e-5, "{x:?} {y:?}");
            assert!((x.confidence - y.confidence).abs() < 1e-5, "{x:?} {y:?}");
        }
    }
}

#[test]
fn rollouts_never_hold_a_mask_and_follow_the_models_frequencies() {
    let decoder = decoder(config(), 3);
    let params = DiffusionParams { commit: CommitRule::Schedule { steps: 1 }, ..sampling(1) };
    let count = 6000;
    let samples: Vec<u64> = (0..count).collect();
    let key = SampleKey { seed: 2, step: 0, samples: &samples };
    let prompts = vec![vec![BOS, 4, 5]; count as usize];
    let rollouts = generate(&decoder, &prompts, &params, key).unwrap();
    let mut found = [0.0; 8];
    for rollout in &rollouts {
        found[rollout.completion[0] as usize] += 1.0;
    }
    assert_eq!(found[MASK as usize], 0.0);
    let batch = Batch::from_rows(&[vec![BOS, 4, 5, MASK]], 0).unwrap();
    let tokens: Vec<u32> = (0..8).filter(|token| *token != MASK).collect();
    let positions = vec![3; tokens.len()];
    let log_probs = decoder.log_probs_at(&batch, positions.into(), tokens.clone().into()).unwrap();
    // Chi-squared with 6 degrees of freedom: 22.5 is exceeded once in a thousand.
    let chi: f64 = tokens
        .iter()
        .zip(values(log_probs))
        .map(|(token, log_prob)| (found[*token as usize], f64::from(log_prob).exp() * count as f64))
        .map(|(found, expected)| (found - expected).powi(2) / expected)
        .sum();
    assert!(chi < 22.5, "{chi}");
}
