//! Committing several tokens at once: the rules, and when it is the same as one after the other.

use crate::denoisers::{digits, hashed, joint, mix, unit};
use afterthought_sampling::diffusion::{CommitRule, DiffusionParams, Rollout, SampleKey, generate};

const SYMBOLS: usize = 3;
const LENGTH: usize = 4;

fn decode(probabilities: &[f64], commit: CommitRule) -> Rollout {
    let model = joint(SYMBOLS, LENGTH, probabilities.to_vec());
    let params = DiffusionParams { commit, ..DiffusionParams::new(LENGTH, SYMBOLS as u32, 0, 0) };
    let key = SampleKey { seed: 0, step: 0, samples: &[0] };
    generate(&model, &[vec![1]], &params, key).unwrap().remove(0)
}

/// A joint distribution with the share `peak` on one sequence, the rest anywhere.
fn random_joint(seed: u64, peak: f64) -> Vec<f64> {
    let count = SYMBOLS.pow(LENGTH as u32) as u64;
    let draw = |i: u64| f64::from(unit(mix(seed ^ mix(i + 1)))).powi(6);
    let total: f64 = (0..count).map(draw).sum();
    let top = mix(seed) % count;
    let rest = |i| (1.0 - peak) * draw(i) / total + if i == top { peak } else { 0.0 };
    (0..count).map(rest).collect()
}

/// The probability of what `known` says of some positions.
fn marginal(probabilities: &[f64], known: &[(usize, u32)]) -> f64 {
    (probabilities.iter().enumerate())
        .filter(|(i, _)| {
            let sequence = digits(*i, SYMBOLS, LENGTH);
            known.iter().all(|(position, token)| sequence[*position] == *token)
        })
        .map(|(_, p)| p)
        .sum()
}

/// Every order of the positions.
fn orders(positions: &[usize]) -> Vec<Vec<usize>> {
    if positions.is_empty() {
        return vec![Vec::new()];
    }
    let first = |&first: &usize| {
        let rest: Vec<usize> = positions.iter().copied().filter(|p| *p != first).collect();
        orders(&rest).into_iter().map(move |order| [vec![first], order].concat())
    };
    positions.iter().flat_map(first).collect()
}

/// Whether what the first step committed is what greedy decoding of these positions writes one
/// after the other, in every order.
fn sequential(probabilities: &[f64], rollout: &Rollout) -> bool {
    let positions: Vec<usize> = (0..LENGTH).filter(|p| rollout.trace[*p].step == 0).collect();
    orders(&positions).into_iter().all(|order| {
        let mut known = Vec::new();
        for position in order {
            let with =
                |token| marginal(probabilities, &[&known[..], &[(position, token)]].concat());
            let best = (0..SYMBOLS as u32).max_by(|a, b| with(*a).total_cmp(&with(*b))).unwrap();
            known.push((position, best));
        }
        known.iter().all(|(position, token)| rollout.completion[*position] == *token)
    })
}

#[test]
fn a_factor_of_one_writes_what_one_token_a_step_would() {
    let (mut several, mut broken) = (0, 0);
    for seed in 0..400 {
        let probabilities = random_joint(seed, f64::from(unit(mix(seed + 5))));
        let rollout = decode(&probabilities, CommitRule::Factor(1.0));
        let sure: Vec<_> = rollout.trace.iter().filter(|commit| commit.step == 0).collect();
        if sure.len() > 1 {
            several += 1;
            let eps = sure.iter().map(|c| 1.0 - f64::from(c.confidence)).fold(0.0, f64::max);
            assert!((sure.len() as f64 + 1.0) * eps <= 1.0 + 1e-6);
            assert!(sequential(&probabilities, &rollout), "seed {seed}");
        }
        // Four at once whatever their confidence: dependence between them is lost.
        let careless = decode(&probabilities, CommitRule::Factor(100.0));
        assert_eq!(careless.steps(), 1);
        broken += usize::from(!sequential(&probabilities, &careless));
    }
    assert!(several > 100 && broken > 20, "{several} {broken}");
}

#[test]
fn factors_commit_the_most_that_the_rule_allows() {
    let params =
        |commit| DiffusionParams { commit, block_length: 8, ..DiffusionParams::new(16, 11, 1, 0) };
    let key = SampleKey { seed: 0, step: 0, samples: &[0] };
    let mut sizes = std::collections::BTreeSet::new();
    for factor in [0.0f32, 0.3, 0.7, 1.0, 1.5, 3.0, 8.0] {
        let model = hashed(12, 9.0);
        let rollout =
            generate(&model, &[vec![2, 3]], &params(CommitRule::Factor(factor)), key).unwrap();
        let rollout = &rollout[0];
        for step in 0..rollout.steps() {
            let committed: Vec<usize> =
                (0..16).filter(|p| rollout.trace[*p].step == step).collect();
            // The confidences of all that was masked in the block, from the model itself.
            let canvas = [&[2, 3][..], &rollout.canvas_at_step(step)].concat();
            let block = committed[0] / 8 * 8;
            let mut confidences: Vec<(f64, usize)> = (block..block + 8)
                .filter(|p| canvas[2 + p] == 11)
                .map(|p| {
                    let logits = (model.logits)(&canvas, 2 + p);
                    let z: f64 = logits[..11].iter().map(|l| f64::from(*l).exp()).sum();
                    let top = logits[..11].iter().copied().fold(f32::MIN, f32::max);
                    (f64::from(top).exp() / z, p)
                })
                .collect();
            confidences.sort_by(|a, b| b.0.total_cmp(&a.0));
            let allowed = |n: &usize| {
                let doubt = 1.0 - confidences[n - 1].0;
                (*n as f64 + 1.0) * doubt < f64::from(factor)
            };
            let n = (1..=confidences.len()).filter(allowed).max().unwrap_or(1);
            let mut expected: Vec<usize> = confidences[..n].iter().map(|(_, p)| *p).collect();
            expected.sort_unstable();
            assert_eq!(committed, expected, "factor {factor}, step {step}");
            sizes.insert(n);
        }
    }
    assert!(sizes.len() >= 5, "{sizes:?}");
}

#[test]
fn nothing_is_surer_than_a_threshold_above_one() {
    let decode = |commit| {
        let params =
            DiffusionParams { commit, block_length: 4, ..DiffusionParams::new(12, 11, 1, 0) };
        let key = SampleKey { seed: 0, step: 0, samples: &[0] };
        generate(&hashed(12, 30.0), &[vec![2, 3]], &params, key).unwrap()
    };
    let one_a_step = decode(CommitRule::Schedule { steps: 12 });
    assert_eq!(decode(CommitRule::Threshold(1.5)), one_a_step);
    assert_eq!(decode(CommitRule::Factor(0.0)), one_a_step);
    assert_ne!(decode(CommitRule::Threshold(0.9)), one_a_step);
}
