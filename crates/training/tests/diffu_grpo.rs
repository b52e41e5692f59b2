//! diffu-GRPO on toy problems: its gradient against one written out by hand, its bookkeeping, and
//! that it learns.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod tiny;

use afterthought_models::{Batch, Decoder, DecoderConfig, Parameter, ParameterVisitor};
use afterthought_sampling::diffusion::{
    CacheMode, CommitRule, DiffusionParams, Rollout, SampleKey, generate,
};
use afterthought_tasks::{Grade, Problem, Profile, PromptStyle, TaskName};
use afterthought_training::estimator::{
    LogProbEstimator, MaskKey, OnePass, Pass, Scope, Scored, TraceReplay, log_probs, run_passes,
};
use afterthought_training::objective::{Kl, Normalisation, PolicyOptions};
use afterthought_training::{AdamW, DiffuGrpo, Error, GrpoMetrics, Learner};
use burn::tensor::{Gradients, Tensor};
use tiny::{
    EOS, MASK, SGD_EPSILON, adamw, config, constant, decoder, distance, format, mean, sampling,
    sgd, values, weights, with_threads,
};

const LENGTH: usize = 5;

/// Pays for words of one kind.
#[derive(Debug)]
struct Toy {
    prompt: &'static str,
    reward: fn(&str) -> f64,
}

impl Problem for Toy {
    fn task(&self) -> TaskName {
        TaskName::Countdown
    }

    fn prompt(&self, _: PromptStyle) -> String {
        self.prompt.to_owned()
    }

    fn grade(&self, _: &str, _: Profile) -> Grade {
        unreachable!("training asks for rewards only")
    }

    fn reward(&self, completion: &str) -> f64 {
        (self.reward)(completion)
    }

    fn question_and_gold(&self) -> (String, serde_json::Value) {
        (String::new(), serde_json::Value::Null)
    }

    fn record(&self) -> serde_json::Value {
        serde_json::Value::Null
    }
}

/// Share of the window that is the word `a`.
fn share_of_a(completion: &str) -> f64 {
    completion.split_whitespace().filter(|word| *word == "a").count() as f64 / LENGTH as f64
}

/// 1 if the word `a` occurs.
fn any_a(completion: &str) -> f64 {
    f64::from(u8::from(completion.contains('a')))
}

/// Two prompts of different lengths.
const PROBLEMS: [Toy; 2] =
    [Toy { prompt: "b", reward: share_of_a }, Toy { prompt: "c d b", reward: share_of_a }];

fn grpo() -> DiffuGrpo {
    DiffuGrpo {
        estimator: Box::new(OnePass { prompt_mask: 0.15, scope: Scope::ToEos }),
        objective: PolicyOptions {
            clip: 0.2,
            beta: 0.04,
            kl: Kl::K3,
            normalisation: Normalisation::Token,
        },
        group_size: 4,
        inner_updates: 1,
        sampling: sampling(LENGTH),
        max_rows: usize::MAX,
        seed: 21,
    }
}

fn step(
    grpo: &DiffuGrpo,
    learner: &mut Learner,
    reference: &Decoder,
    problems: &[Toy],
    step: u64,
) -> Result<GrpoMetrics, Error> {
    let problems: Vec<&dyn Problem> = problems.iter().map(|problem| problem as _).collect();
    grpo.step(learner, reference, &problems, &format(), step, &|| false)
}

/// The rollouts of a step, decoded one by one.
fn rollouts(grpo: &DiffuGrpo, decoder: &Decoder, problems: &[Toy], step: u64) -> Vec<Rollout> {
    let group_size = grpo.group_size;
    (0..problems.len() * group_size)
        .map(|sample| {
            let prompt = format().problem(&problems[sample / group_size]).unwrap();
            let key = SampleKey { seed: grpo.seed, step, samples: &[sample as u64] };
            generate(decoder, &[prompt], &grpo.sampling, key).unwrap().remove(0)
        })
        .collect()
}

#[test]
fn the_policy_is_its_own_old_policy_bit_for_bit() {
    let decoder = decoder(config(), 11);
    let estimators: [&dyn LogProbEstimator; 2] = [
        &OnePass { prompt_mask: 0.15, scope: Scope::ToEos },
        &TraceReplay { segments: 3, prompt_mask: 0.15, scope: Scope::Window },
    ];
    for estimator in estimators {
        let passes = || -> Vec<Pass> {
            let rollouts = rollouts(&grpo(), &decoder, &PROBLEMS, 0);
            let numbered = rollouts.iter().zip(0..);
            numbered
                .flat_map(|(rollout, sample)| {
                    let key = MaskKey { seed: 1, step: 0, inner: 0, sample };
                    estimator.passes(rollout, EOS, key)
                })
                .collect()
        };
        let (first, second) = (passes(), passes());
        assert_eq!(first, second);
        let plain = log_probs(&decoder, &first, usize::MAX).unwrap();
        assert_eq!(plain, log_probs(&decoder, &second, usize::MAX).unwrap());
        let tracked = run_passes(&decoder.tracked(), &first).unwrap();
        assert_eq!(plain, values(tracked.inner()));
    }
}

#[test]
fn the_first_update_has_no_divergence_and_no_clipping() {
    for (kl, beta) in [(Kl::K3, 0.04), (Kl::K1, 0.04), (Kl::K2, 0.04), (Kl::None, 0.0)] {
        let mut grpo = grpo();
        (grpo.objective.kl, grpo.objective.beta) = (kl, beta);
        let reference = decoder(config(), 11);
        let mut learner = Learner::new(reference.clone(), adamw(), constant(1e-2));
        let metrics = step(&grpo, &mut learner, &reference, &PROBLEMS, 0).unwrap();
        assert_eq!((metrics.kl, metrics.clip_fraction), (0.0, 0.0));
        assert_eq!((metrics.updates, learner.step()), (1, 1));
        // With every ratio 1 the loss is minus the token mean of the advantages.
        let all = rollouts(&grpo, &reference, &PROBLEMS, 0);
        let (mut sum, mut count) = (0.0, 0.0);
        for (index, rollout) in all.iter().enumerate() {
            let group = &metrics.rewards[index / 4 * 4..][..4];
            let tokens = rollout.completion_len_to_eos(EOS) as f64;
            sum += tokens * (metrics.rewards[index] - mean(group).0);
            count += tokens;
        }
        assert!((metrics.loss + sum / count).abs() < 1e-9, "{} {}", metrics.loss, sum / count);
    }
}

#[test]
fn later_updates_diverge_from_the_old_policy_and_the_reference() {
    let grpo = DiffuGrpo { inner_updates: 4, ..grpo() };
    let reference = decoder(config(), 11);
    let mut learner = Learner::new(reference.clone(), adamw(), constant(3e-2));
    let metrics = step(&grpo, &mut learner, &reference, &PROBLEMS, 0).unwrap();
    assert_eq!((metrics.updates, learner.step()), (4, 4));
    assert!(metrics.kl > 0.0 && metrics.clip_fraction > 0.0, "{metrics:?}");
}

struct Descend<'a> {
    gradients: &'a Gradients,
    rate: f64,
    weights: Vec<Vec<f32>>,
}

impl ParameterVisitor for Descend<'_> {
    fn visit<const D: usize>(&mut self, parameter: &mut Parameter<D>) {
        let gradient = values(parameter.value.grad(self.gradients).unwrap());
        let values = values(parameter.value.clone().inner());
        let moved = values.iter().zip(gradient).map(|(v, g)| v - self.rate as f32 * g);
        self.weights.push(moved.collect());
    }
}

#[test]
fn without_masks_and_divergence_the_update_is_reinforce() {
    for normalisation in [Normalisation::Token, Normalisation::Sequence] {
        let objective = PolicyOptions { beta: 0.0, normalisation, ..grpo().objective };
        let estimator = Box::new(OnePass { prompt_mask: 0.0, scope: Scope::ToEos });
        let grpo = DiffuGrpo { estimator, objective, ..grpo() };
        let policy = decoder(config(), 11);
        let rate = 0.5;
        let mut learner = Learner::new(policy.clone(), sgd(), constant(rate * SGD_EPSILON));
        let metrics = step(&grpo, &mut learner, &policy, &PROBLEMS, 3).unwrap();
        assert_eq!(metrics.frac_reward_zero_std, 0.0, "{metrics:?}");

        // sum A grad log phi / count, each completion by itself on a fully masked window.
        let mut tracked = policy.tracked();
        let rollouts = rollouts(&grpo, &policy, &PROBLEMS, 3);
        let rewards: Vec<f64> = rollouts
            .iter()
            .map(|rollout| share_of_a(&format().completion(rollout).unwrap()))
            .collect();
        assert_eq!(metrics.rewards, rewards);
        let tokens: Vec<usize> = rollouts.iter().map(|r| r.completion_len_to_eos(EOS)).collect();
        let mut objective: Option<Tensor<1>> = None;
        for (index, rollout) in rollouts.iter().enumerate() {
            let advantage = rewards[index] - mean(&rewards[index / 4 * 4..][..4]).0;
            let count = match normalisation {
                Normalisation::Token => tokens.iter().sum::<usize>(),
                _ => rollouts.len() * tokens[index],
            };
            let start = rollout.prompt.len();
            let mut row = rollout.prompt.clone();
            row.resize(start + LENGTH, MASK);
            let batch = Batch::from_rows(&[row], 0).unwrap();
            let positions = (start..start + tokens[index]).map(|p| p as u32).collect();
            let targets = rollout.completion[..tokens[index]].into();
            let log_phi = tracked.log_probs_at(&batch, positions, targets).unwrap().sum();
            let term = log_phi * (advantage / count as f64) as f32;
            objective = Some(match objective {
                None => term,
                Some(sum) => sum + term,
            });
        }
        let gradients = (-objective.unwrap()).backward();
        let mut descend = Descend { gradients: &gradients, rate, weights: Vec::new() };
        tracked.visit(&mut descend);
        let moved = distance(&weights(&policy), &descend.weights);
        let wrong = distance(&weights(learner.decoder()), &descend.weights);
        assert!(moved > 1e-2 && wrong < 1e-6, "{normalisation:?}: moved {moved}, wrong {wrong}");
    }
}

#[test]
fn groups_without_spread_are_skipped_and_counted() {
    let policy = decoder(config(), 11);
    for objective in [0.0, 0.5].map(|beta| PolicyOptions { beta, ..grpo().objective }) {
        let grpo = DiffuGrpo { inner_updates: 3, objective, ..grpo() };
        let flat = [Toy { prompt: "b", reward: |_| 0.1 }, Toy { prompt: "c d", reward: |_| 0.7 }];
        let mut learner = Learner::new(policy.clone(), adamw(), constant(1e-2));
        let metrics = step(&grpo, &mut learner, &policy, &flat, 0).unwrap();
        assert_eq!((metrics.updates, learner.step(), metrics.frac_reward_zero_std), (0, 0, 1.0));
        assert!(weights(learner.decoder()) == weights(&policy));
        assert_eq!((metrics.loss, metrics.kl, metrics.grad_norm), (0.0, 0.0, 0.0));
        assert!((metrics.reward - 0.4).abs() < 1e-12 && (metrics.reward_std - 0.3).abs() < 1e-12);

        // Beside a group with spread, a flat one changes nothing but the count. (It comes last, so
        // that the samples of the other keep their indices.)
        let mixed = [Toy { prompt: "b", reward: share_of_a }, Toy { prompt: "b", reward: |_| 0.7 }];
        let run = |problems: &[Toy]| {
            let mut learner = Learner::new(policy.clone(), adamw(), constant(1e-2));
            let metrics = step(&grpo, &mut learner, &policy, problems, 0).unwrap();
            (metrics, weights(learner.decoder()))
        };
        let ((both, with_flat), (one, without)) = (run(&mixed), run(&mixed[..1]));
        assert_eq!((both.frac_reward_zero_std, one.frac_reward_zero_std), (0.5, 0.0));
        assert_eq!((both.updates, both.loss), (3, one.loss));
        assert!(with_flat == without);
    }
}

#[test]
fn a_completion_with_the_mean_reward_still_counts() {
    // Rewards 0, 0.5 and 1 by length: the middle one has no advantage, but tokens.
    let reward = |text: &str| match text.split_whitespace().count() {
        0..=1 => 0.0,
        2..=4 => 0.5,
        _ => 1.0,
    };
    let problems = [Toy { prompt: "b", reward }];
    let policy = decoder(config(), 11);
    let found = (0..200).find_map(|seed| {
        let grpo = DiffuGrpo { seed, group_size: 3, ..grpo() };
        let mut learner = Learner::new(policy.clone(), adamw(), constant(1e-2));
        let metrics = step(&grpo, &mut learner, &policy, &problems, 0).unwrap();
        let mut sorted = metrics.rewards.clone();
        sorted.sort_by(f64::total_cmp);
        (sorted == [0.0, 0.5, 1.0]).then_some((grpo, metrics))
    });
    let (grpo, metrics) = found.expect("three kinds of completions in 200 groups");
    let rollouts = rollouts(&grpo, &policy, &problems, 0);
    let tokens: Vec<f64> = rollouts.iter().map(|r| r.completion_len_to_eos(EOS) as f64).collect();
    let sum: f64 = tokens.iter().zip(&metrics.rewards).map(|(n, r)| n * (r - 0.5)).sum();
    assert!((metrics.loss + sum / tokens.iter().sum::<f64>()).abs() < 1e-9);
}

/// Rewards of fresh completions: mean and standard error.
fn score(decoder: &Decoder) -> (f64, f64) {
    let grpo = DiffuGrpo { group_size: 100, seed: 1234, ..grpo() };
    let rollouts = rollouts(&grpo, decoder, &PROBLEMS, 999);
    let rewards: Vec<f64> =
        rollouts.iter().map(|rollout| share_of_a(&format().completion(rollout).unwrap())).collect();
    mean(&rewards)
}

#[test]
fn the_reward_goes_up() {
    let one_pass = || Box::new(OnePass { prompt_mask: 0.15, scope: Scope::ToEos });
    let replay = TraceReplay { segments: LENGTH, prompt_mask: 0.15, scope: Scope::ToEos };
    let exact = sampling(LENGTH);
    let cache = CacheMode::DualCache;
    let cached = DiffusionParams { cache, cache_refresh: Some(3), cache_ahead: 1, ..exact.clone() };
    let cases: [(Box<dyn LogProbEstimator>, DiffusionParams); 3] =
        [(one_pass(), exact.clone()), (Box::new(replay), exact), (one_pass(), cached)];
    for (estimator, sampling) in cases {
        let grpo = DiffuGrpo { estimator, sampling, group_size: 8, inner_updates: 2, ..grpo() };
        let policy = decoder(config(), 11);
        let before = score(&policy);
        let mut learner = Learner::new(policy.clone(), adamw(), constant(1e-2));
        for index in 0..30 {
            step(&grpo, &mut learner, &policy, &PROBLEMS, index).unwrap();
        }
        let after = score(learner.decoder());
        let (high, low) = (before.0 + 1.96 * before.1, after.0 - 1.96 * after.1);
        assert!(low > high, "from {before:?} to {after:?}");
    }
}

#[test]
fn a_reward_that_is_no_number_stops_the_step() {
    let policy = decoder(config(), 11);
    for reward in [|_: &str| f64::NAN, |_: &str| f64::INFINITY] {
        let problems = [Toy { prompt: "b", reward: any_a }, Toy { prompt: "b", reward }];
        let mut learner = Learner::new(policy.clone(), adamw(), constant(1e-2));
        let result = step(&grpo(), &mut learner, &policy, &problems, 0);
        assert!(
            matches!(result, Err(Error::NonFinite { what: "reward", step: 0, .. })),
            "{result:?}"
        );
        assert!(weights(learner.decoder()) == weights(&policy) && learner.step() == 0);
    }
}

#[test]
fn trace_replay_refuses_rollouts_of_another_policy() {
    let policy = decoder(config(), 3);
    for cache in [CacheMode::PrefixCache, CacheMode::DualCache] {
        let sampling = DiffusionParams { cache, ..sampling(LENGTH) };
        let estimator =
            Box::new(TraceReplay { segments: 2, prompt_mask: 0.15, scope: Scope::ToEos });
        let grpo = DiffuGrpo { sampling, estimator, ..grpo() };
        let mut learner = Learner::new(policy.clone(), adamw(), constant(1e-3));
        let error = step(&grpo, &mut learner, &policy, &PROBLEMS, 0).unwrap_err();
        assert!(matches!(error, Error::Setting { key: "cache", .. }), "{error}");
        assert_eq!(weights(learner.decoder()), weights(&policy));
    }
}

#[test]
fn an_interrupt_stops_the_step() {
    let policy = decoder(config(), 11);
    let mut learner = Learner::new(policy.clone(), adamw(), constant(1e-2));
    let problems: [&dyn Problem; 1] = [&PROBLEMS[0]];
    let result = grpo().step(&mut learner, &policy, &problems, &format(), 0, &|| true);
    assert!(matches!(result, Err(Error::Sample(_))), "{result:?}");
    assert!(weights(learner.decoder()) == weights(&policy));
}

#[test]
fn words_that_the_tokenizer_lacks_are_errors() {
    let policy = decoder(config(), 11);
    let mut learner = Learner::new(policy.clone(), adamw(), constant(1e-2));
    let problems = [Toy { prompt: "b elephant", reward: any_a }];
    let result = step(&grpo(), &mut learner, &policy, &problems, 0);
    assert!(matches!(result, Err(Error::Text(_))), "{result:?}");
}

#[test]
fn the_update_does_not_depend_on_how_passes_are_split() {
    let policy = decoder(config(), 11);
    // By itself, on passes of different widths and numbers of scored tokens.
    let passes: Vec<Pass> = (0..10usize)
        .map(|i| {
            let mut canvas = vec![4 + i as u32 % 4; 3 + i % 3];
            canvas.extend([MASK; 3]);
            let start = canvas.len() - 3;
            let scored = (0..1 + i % 3).map(|k| Scored { column: start + k, token: 5 }).collect();
            Pass { canvas, scored }
        })
        .collect();
    let epsilon = 1e-3;
    let optimizer = AdamW { epsilon, ..adamw() };
    let update = |max_rows| {
        let mut learner = Learner::new(policy.clone(), optimizer, constant(1e-2));
        let mut losses = Vec::new();
        for _ in 0..3 {
            let (update, seen) = learner
                .update(&passes, max_rows, |log_probs| {
                    let weight = |i: usize| 0.1 * (i as f64 - 8.0);
                    let numbered = log_probs.iter().enumerate();
                    let loss = numbered.map(|(i, l)| weight(i) * f64::from(*l)).sum();
                    (loss, (0..log_probs.len()).map(weight).collect(), log_probs.len())
                })
                .unwrap();
            assert_eq!(seen, passes.iter().map(|pass| pass.scored.len()).sum::<usize>());
            losses.push((update.loss, update.grad_norm));
        }
        (losses, weights(learner.decoder()))
    };
    let (losses, expected) = update(usize::MAX);
    for max_rows in [1, 3, 9, 10] {
        let (split_losses, split) = update(max_rows);
        assert!(distance(&split, &expected) < 1e-6, "{max_rows}");
        for (a, b) in losses.iter().zip(split_losses) {
            for (a, b) in [(a.0, b.0), (a.1, b.1)] {
                assert!((a - b).abs() < 1e-5 * a.abs(), "{a} {b}");
            }
        }
    }

    // And within the loop, old policy and reference included.
    let run = |max_rows| {
        let grpo = DiffuGrpo { max_rows, inner_updates: 3, ..grpo() };
        let mut learner = Learner::new(policy.clone(), optimizer, constant(1e-2));
        step(&grpo, &mut learner, &policy, &PROBLEMS, 0).unwrap();
        weights(learner.decoder())
    };
    let expected = run(usize::MAX);
    for max_rows in [1, 3] {
        assert!(distance(&run(max_rows), &expected) < 1e-6, "{max_rows}");
    }
}

#[test]
fn repeated_runs_and_other_thread_counts_give_the_same_bits() {
    // Wide enough that products are shared out among threads.
    let wide = DecoderConfig { hidden_size: 64, intermediate_size: 160, head_dim: 32, ..config() };
    let policy = decoder(wide, 11);
    let run = |threads, seed| {
        with_threads(threads, || {
            let sampling =
                DiffusionParams { commit: CommitRule::Schedule { steps: 3 }, ..sampling(6) };
            let grpo = DiffuGrpo { seed, sampling, group_size: 12, inner_updates: 2, ..grpo() };
            let mut learner = Learner::new(policy.clone(), adamw(), constant(1e-3));
            let metrics: Vec<GrpoMetrics> = (0..3)
                .map(|index| step(&grpo, &mut learner, &policy, &PROBLEMS, index).unwrap())
                .collect();
            (metrics, weights(learner.decoder()))
        })
    };
    let one = run(1, 5);
    for threads in [1, 2, 3] {
        assert!(run(threads, 5) == one, "{threads} threads");
    }
    assert!(run(1, 6) != one);
}

#[test]
fn a_supplied_gradient_enters_as_it_is() {
    // d loss / d log p = 1 for one token: the step is the gradient of that log-probability.
    let policy = decoder(config(), 11);
    let pass = Pass { canvas: vec![0, 4, MASK], scored: vec![Scored { column: 2, token: 6 }] };
    let mut learner = Learner::new(policy.clone(), sgd(), constant(0.1 * SGD_EPSILON));
    learner.update(std::slice::from_ref(&pass), 1, |_| (0.0, vec![1.0], ())).unwrap();
    let mut tracked = policy.tracked();
    let gradients = run_passes(&tracked, &[pass]).unwrap().sum().backward();
    let mut descend = Descend { gradients: &gradients, rate: 0.1, weights: Vec::new() };
    tracked.visit(&mut descend);
    assert!(distance(&weights(learner.decoder()), &descend.weights) < 1e-6);
}

/// Row 25 of the fault table: a group of one, rewards that do not fill groups, and groups without
/// spread have defined results.
#[test]
fn row_25_groups_of_one_ragged_groups_and_groups_without_spread() {
    let reference = decoder(config(), 11);
    let mut learner = Learner::new(reference.clone(), adamw(), constant(1e-2));
    let one = DiffuGrpo { group_size: 1, ..grpo() };
    let error = step(&one, &mut learner, &reference, &PROBLEMS, 0).unwrap_err();
    assert_eq!(error.to_string(), "group_size is 1, expected at least 2");

    let grpo = grpo();
    let rollouts = rollouts(&grpo, &reference, &PROBLEMS, 0);
    let learn = |rewards: Vec<Option<f64>>| {
        let mut learner = Learner::new(reference.clone(), adamw(), constant(1e-2));
        grpo.learn(&mut learner, &reference, &rollouts, rewards, EOS, 0)
    };
    let error = learn(vec![Some(1.0); 7]).unwrap_err();
    assert_eq!(error.to_string(), "rewards are 7, for 8 completions in groups of 4");
    let equal = learn(vec![Some(0.5); 8]).unwrap();
    assert_eq!((equal.frac_reward_zero_std, equal.updates, equal.reward), (1.0, 0, 0.5));
    // One group with spread, one without any reward: only the first is learnt from.
    let mut rewards = vec![None; 8];
    rewards[..4].copy_from_slice(&[Some(1.0), Some(0.0), Some(0.0), None]);
    let mixed = learn(rewards).unwrap();
    assert_eq!((mixed.frac_reward_zero_std, mixed.updates), (0.5, 1));
    assert_eq!(mixed.rewards, [1.0, 0.0, 0.0]);
    assert!(matches!(learn(vec![Some(f64::NAN); 8]), Err(Error::NonFinite { what: "reward", .. })));
}
