//! The decoding rules, checked against models whose answers are known.

use std::cell::Cell;

use crate::denoisers::{Broken, Synthetic, digits, hashed, joint};
use afterthought_sampling::diffusion::{
    BadLogits, CommitRule, Denoiser, DiffusionParams, ParamsError, Remasking, Rollout, SampleKey,
    generate, generate_with,
};
use afterthought_sampling::{Interrupted, SampleError};

const VOCAB: usize = 12;
const MASK: u32 = 11;
const EOS: u32 = 1;

fn one<D: Denoiser>(model: &D, params: &DiffusionParams, sample: u64) -> Rollout {
    let key = SampleKey { seed: 9, step: 0, samples: &[sample] };
    generate(model, &[vec![2, 3]], params, key).unwrap().remove(0)
}

/// How many tokens each step committed.
fn counts(rollout: &Rollout) -> Vec<usize> {
    let at = |step| rollout.trace.iter().filter(|c| c.step == step).count();
    (0..rollout.steps()).map(at).collect()
}

#[test]
fn the_schedule_is_followed_in_each_block() {
    let base = DiffusionParams::new(32, MASK, EOS, 0);
    let run = |params: DiffusionParams| counts(&one(&hashed(VOCAB, 5.0), &params, 0));
    assert_eq!(
        run(DiffusionParams { commit: CommitRule::Schedule { steps: 16 }, ..base.clone() }),
        [2; 16]
    );
    assert_eq!(run(base.clone()), [1; 32]);
    let base = DiffusionParams {
        gen_length: 20,
        block_length: 10,
        commit: CommitRule::Schedule { steps: 8 },
        ..base
    };
    for remasking in [Remasking::LowConfidence, Remasking::Random] {
        let params = DiffusionParams { remasking, temperature: 1.0, ..base.clone() };
        let rollout = one(&hashed(VOCAB, 5.0), &params, 0);
        assert_eq!(counts(&rollout), [3, 3, 2, 2, 3, 3, 2, 2]);
        assert!(rollout.trace[..10].iter().all(|c| c.step < 4));
        assert!(rollout.trace[10..].iter().all(|c| c.step >= 4));
        assert_eq!((rollout.model_calls, rollout.forward_tokens), (8, 8 * 22));
    }
}

#[test]
fn thresholds() {
    let run = |threshold: f32| {
        let params = DiffusionParams {
            block_length: 4,
            commit: CommitRule::Threshold(threshold),
            ..DiffusionParams::new(12, MASK, EOS, 0)
        };
        one(&hashed(VOCAB, 6.0), &params, 0)
    };
    assert_eq!(counts(&run(1.5)), [1; 12]);
    let rollout = run(0.0);
    assert_eq!(counts(&rollout), [4; 3]);
    assert_eq!(rollout.model_calls, 3);
    let rollout = run(0.3);
    let counts = counts(&rollout);
    assert!(counts.iter().any(|&n| n > 1) && counts.len() > 3);
    for commit in &rollout.trace {
        assert!(commit.confidence >= 0.3 || counts[commit.step as usize] == 1);
    }
}

/// `ln softmax(logits)` without the banned ids, written down once more.
fn log_softmax(logits: &[f32], banned: &[u32]) -> Vec<f64> {
    let kept = |v: usize| !banned.contains(&(v as u32));
    let z: f64 = (0..logits.len()).filter(|&v| kept(v)).map(|v| f64::from(logits[v]).exp()).sum();
    (0..logits.len())
        .map(|v| if kept(v) { f64::from(logits[v]) - z.ln() } else { f64::NEG_INFINITY })
        .collect()
}

#[test]
fn replaying_the_trace_recovers_every_decision() {
    let base = DiffusionParams {
        block_length: 4,
        commit: CommitRule::Schedule { steps: 6 },
        suppress: vec![7],
        ..DiffusionParams::new(12, MASK, EOS, 0)
    };
    let model = hashed(VOCAB, 6.0);
    for cfg_scale in [0.0, 0.7] {
        for temperature in [0.0, 1.3] {
            let params = DiffusionParams { cfg_scale, temperature, ..base.clone() };
            let rollout = one(&model, &params, 4);
            let passes = if cfg_scale > 0.0 { 2 } else { 1 };
            assert_eq!(rollout.model_calls, 6 * passes);
            for (position, commit) in rollout.trace.iter().enumerate() {
                let canvas = rollout.canvas_at_step(commit.step);
                let logits = |prompt: &[u32], position| {
                    (model.logits)(&[prompt, &canvas].concat(), 2 + position)
                };
                let predicted = |position| {
                    let conditional = logits(&[2, 3], position);
                    let unconditional = logits(&[MASK, MASK], position);
                    let guided: Vec<f32> = (conditional.iter().zip(&unconditional))
                        .map(
                            |(c, u)| {
                                if cfg_scale > 0.0 { u + (cfg_scale + 1.0) * (c - u) } else { *c }
                            },
                        )
                        .collect();
                    log_softmax(&guided, &[7, MASK])
                };
                let log_probs = predicted(position);
                let token = rollout.completion[position] as usize;
                assert!((f64::from(commit.log_prob) - log_probs[token]).abs() < 1e-5);
                assert!((f64::from(commit.confidence) - log_probs[token].exp()).abs() < 1e-5);
                if temperature == 0.0 {
                    // No token, and no other position that stayed masked, was more likely.
                    assert!(log_probs.iter().all(|&l| l <= log_probs[token]));
                    let block = position / 4 * 4;
                    for other in (block..block + 4).filter(|&p| rollout.trace[p].step > commit.step)
                    {
                        assert!(predicted(other).iter().all(|&l| l <= log_probs[token]));
                    }
                }
            }
        }
    }
}

#[test]
fn the_mask_is_never_committed() {
    let model = Synthetic::new(VOCAB, |_: &[u32], _| {
        (0..VOCAB as u32).map(|v| if v == MASK { 80.0 } else { 0.0 }).collect()
    });
    for temperature in [0.0, 1.0] {
        let params = DiffusionParams { temperature, ..DiffusionParams::new(16, MASK, EOS, 0) };
        let rollout = one(&model, &params, 0);
        assert!(!rollout.completion.contains(&MASK));
        assert!(rollout.trace.iter().all(|c| (c.confidence - 1.0 / 11.0).abs() < 1e-6));
    }
}

#[test]
fn block_length_one_is_the_autoregressive_factorisation() {
    // An arbitrary joint distribution over 27 sequences, two of them impossible.
    let weights: Vec<f64> = (0..27)
        .map(|i| if i == 5 || i == 20 { 0.0 } else { 1.0 + f64::from(i * i % 11) })
        .collect();
    let total: f64 = weights.iter().sum();
    let probabilities: Vec<f64> = weights.iter().map(|w| w / total).collect();
    let model = joint(3, 3, probabilities.clone());
    let params =
        DiffusionParams { block_length: 1, temperature: 1.0, ..DiffusionParams::new(3, 3, 0, 0) };
    let draws = 20_000u64;
    let samples: Vec<u64> = (0..draws).collect();
    let key = SampleKey { seed: 3, step: 0, samples: &samples };
    let rollouts = generate(&model, &vec![vec![1]; samples.len()], &params, key).unwrap();
    let mut seen = vec![0.0; 27];
    for rollout in &rollouts {
        let i = rollout.completion.iter().fold(0, |i, &digit| i * 3 + digit as usize);
        assert_eq!(digits(i, 3, 3), rollout.completion);
        assert_eq!(rollout.trace.iter().map(|c| c.step).collect::<Vec<_>>(), [0, 1, 2]);
        seen[i] += 1.0;
        let log_prob: f64 = rollout.trace.iter().map(|c| f64::from(c.log_prob)).sum();
        assert!((log_prob - probabilities[i].ln()).abs() < 1e-5);
    }
    assert_eq!((seen[5], seen[20]), (0.0, 0.0));
    // Chi-squared with 24 degrees of freedom: 51.2 is exceeded once in a thousand.
    let chi: f64 = (probabilities.iter().zip(&seen))
        .filter(|(p, _)| **p > 0.0)
        .map(|(p, n)| (n - p * draws as f64).powi(2) / (p * draws as f64))
        .sum();
    assert!(chi < 51.2, "{chi}");
}

#[test]
fn random_remasking_keeps_positions_uniformly() {
    let params = DiffusionParams {
        commit: CommitRule::Schedule { steps: 2 },
        remasking: Remasking::Random,
        ..DiffusionParams::new(4, MASK, EOS, 0)
    };
    let model = hashed(VOCAB, 6.0);
    let mut first = [0; 4];
    for sample in 0..4000 {
        let rollout = one(&model, &params, sample);
        for (n, commit) in first.iter_mut().zip(&rollout.trace) {
            *n += usize::from(commit.step == 0);
            assert!(commit.confidence > 0.0 && commit.confidence < 1.0);
        }
    }
    // Binomial with mean 2000, standard deviation 32.
    assert!(first.iter().all(|n| (1870..2130).contains(n)), "{first:?}");
}

#[test]
fn rows_stop_after_a_block_with_eos() {
    // The prompt's first token says how many tokens precede the EOS.
    let model = Synthetic::new(VOCAB, |ids: &[u32], column| {
        let token = if column > ids[0] as usize { EOS } else { 5 };
        (0..VOCAB as u32).map(|v| if v == token { 9.0 } else { 0.0 }).collect()
    });
    let run = |stop_after_eos| {
        let params = DiffusionParams {
            block_length: 4,
            stop_after_eos,
            ..DiffusionParams::new(12, MASK, EOS, 0)
        };
        let key = SampleKey { seed: 0, step: 0, samples: &[0, 1, 2] };
        generate(&model, &[vec![2], vec![9], vec![6]], &params, key).unwrap()
    };
    let rollouts = run(true);
    assert_eq!(rollouts.iter().map(|r| r.model_calls).collect::<Vec<_>>(), [4, 12, 8]);
    let rows: Vec<usize> = model.seen().iter().map(|s| s.lengths.len()).collect();
    assert_eq!(rows, [3, 3, 3, 3, 2, 2, 2, 2, 1, 1, 1, 1]);
    for (rollout, length) in rollouts.iter().zip([3, 10, 7]) {
        assert_eq!(rollout.completion_len_to_eos(EOS), length);
        let filled = rollout.model_calls;
        for (position, commit) in rollout.trace.iter().enumerate() {
            assert_eq!(commit.filled, position >= filled);
            if commit.filled {
                assert_eq!(commit.step as usize, filled - 1);
                assert_eq!((commit.confidence, commit.log_prob), (1.0, 0.0));
            }
        }
        assert_eq!(rollout.canvas_at_step(rollout.steps()), rollout.completion);
    }
    for (stopped, full) in rollouts.iter().zip(run(false)) {
        assert_eq!(stopped.completion, full.completion);
        assert_eq!(full.model_calls, 12);
        assert!(full.trace.iter().all(|c| !c.filled));
    }
}

#[test]
fn events_show_the_canvases_of_the_trace() {
    let model = hashed(VOCAB, 6.0);
    let params = DiffusionParams {
        block_length: 4,
        commit: CommitRule::Schedule { steps: 4 },
        temperature: 0.5,
        ..DiffusionParams::new(8, MASK, EOS, 0)
    };
    let key = SampleKey { seed: 0, step: 0, samples: &[0, 1] };
    let mut shown = Vec::new();
    let rollouts = generate_with(
        &model,
        &[vec![2], vec![3, 4]],
        &params,
        key,
        &mut |event| {
            for row in &event.rows {
                assert_eq!(event.step, row.step as usize);
                shown.push((row.row, row.step, row.completion.to_vec(), row.committed.clone()));
            }
        },
        &|| false,
    )
    .unwrap();
    assert_eq!(shown.len(), 8);
    for (row, step, canvas, committed) in shown {
        assert_eq!(canvas, rollouts[row].canvas_at_step(step + 1));
        let of_step = (0..8).filter(|&p| rollouts[row].trace[p].step == step);
        assert_eq!(committed, of_step.collect::<Vec<_>>());
    }
}

#[test]
fn interrupts_stop_before_the_next_pass() {
    let model = hashed(VOCAB, 6.0);
    let params = DiffusionParams { max_rows: 1, ..DiffusionParams::new(4, MASK, EOS, 0) };
    let asked = Cell::new(0);
    let interrupt = || asked.replace(asked.get() + 1) == 6;
    let key = SampleKey { seed: 0, step: 0, samples: &[0, 1, 2] };
    let prompts = vec![vec![2]; 3];
    let result = generate_with(&model, &prompts, &params, key, &mut |_| (), &interrupt);
    let Err(SampleError::Interrupted(interrupted)) = result else { panic!("{result:?}") };
    assert_eq!(interrupted, Interrupted { finished: 1, total: 3 });
    assert_eq!(model.seen().len(), 6);
}

struct Failing(fn(usize) -> Result<Vec<f32>, Broken>);

impl Denoiser for Failing {
    type Error = Broken;
    fn vocab_size(&self) -> usize {
        VOCAB
    }
    fn logits(
        &self,
        _: &afterthought_sampling::diffusion::CanvasBatch<'_>,
        positions: &[u32],
    ) -> Result<Vec<f32>, Broken> {
        (self.0)(positions.len() * VOCAB)
    }
}

#[test]
fn models_that_misbehave() {
    let params = DiffusionParams::new(4, MASK, EOS, 0);
    let key = SampleKey { seed: 0, step: 0, samples: &[0] };
    let run = |logits| generate(&Failing(logits), &[vec![2]], &params, key).unwrap_err();
    assert!(matches!(run(|_| Err(Broken)), SampleError::Denoiser { pass: 0, source: Broken }));
    assert!(matches!(
        run(|n| Ok(vec![0.0; n - 1])),
        SampleError::LogitsLength { positions: 4, vocab_size: VOCAB, actual: 47 }
    ));
    assert!(matches!(
        run(|n| Ok((0..n).map(|i| if i == 30 { f32::NAN } else { 0.0 }).collect())),
        SampleError::BadLogits { row: 0, position: 2, step: 0, source: BadLogits::NotFinite }
    ));
    assert!(matches!(
        run(|n| Ok(vec![f32::NEG_INFINITY; n])),
        SampleError::BadLogits { position: 0, source: BadLogits::NothingLeft, .. }
    ));
}

#[test]
fn calls_that_make_no_sense() {
    let model = hashed(VOCAB, 6.0);
    let run = |params: DiffusionParams, prompts: &[Vec<u32>], samples: &[u64]| {
        generate(&model, prompts, &params, SampleKey { seed: 0, step: 0, samples })
    };
    let params = DiffusionParams::new(4, MASK, EOS, 0);
    assert!(run(params.clone(), &[], &[]).unwrap().is_empty());
    assert!(matches!(
        run(params.clone(), &[vec![2]], &[1, 2]),
        Err(SampleError::Params(ParamsError::SampleCount { samples: 2, prompts: 1 }))
    ));
    assert!(matches!(
        run(
            DiffusionParams {
                block_length: 2,
                commit: CommitRule::Schedule { steps: 3 },
                ..params.clone()
            },
            &[vec![2]],
            &[1]
        ),
        Err(SampleError::Params(ParamsError::StepsOfBlocks { steps: 3, blocks: 2 }))
    ));
    assert!(matches!(
        run(params, &[vec![MASK]], &[1]),
        Err(SampleError::Params(ParamsError::MaskInPrompt { row: 0, position: 0, id: MASK }))
    ));
    assert!(model.seen().is_empty());
}
