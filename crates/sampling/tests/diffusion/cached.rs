//! Decoding with stale keys, against a reference that remembers every canvas.

use std::ops::Range;

use crate::denoisers::hashed;
use crate::layered::{Layered, Part, first, gather, read_out};
use afterthought_sampling::SampleError;
use afterthought_sampling::diffusion::{
    CacheMode, CommitRule, DiffusionParams, ParamsError, Rollout, SampleKey, generate,
    generate_cached, generate_cached_with,
};

const VOCAB: usize = 12;
const MASK: u32 = 11;
const EOS: u32 = 1;
const PEAK: f32 = 7.0;
const MODES: [CacheMode; 3] = [CacheMode::Exact, CacheMode::PrefixCache, CacheMode::DualCache];

fn params(block_length: usize, commit: CommitRule, cache: CacheMode) -> DiffusionParams {
    DiffusionParams { block_length, commit, cache, ..DiffusionParams::new(12, MASK, EOS, 0) }
}

fn rules() -> [CommitRule; 5] {
    [
        CommitRule::Schedule { steps: 12 },
        CommitRule::Schedule { steps: 6 },
        CommitRule::Threshold(0.45),
        CommitRule::Factor(1.2),
        CommitRule::Threshold(0.0),
    ]
}

fn prompts() -> Vec<Vec<u32>> {
    (0..7).map(|i| (0..=(i * 5) % 7).map(|j| 2 + (i + j) % 8).collect()).collect()
}

fn run(model: &Layered, params: &DiffusionParams, rows: &[usize]) -> Vec<Rollout> {
    let all = prompts();
    let prompts: Vec<Vec<u32>> = rows.iter().map(|&i| all[i].clone()).collect();
    let samples: Vec<u64> = rows.iter().map(|&i| 100 + i as u64).collect();
    generate_cached(model, &prompts, params, SampleKey { seed: 5, step: 3, samples: &samples })
        .unwrap()
}

/// All passes over one row so far: which positions were run, and the whole row as it stood.
struct History(Vec<(Range<usize>, Vec<u32>)>);

impl History {
    /// The last pass up to `pass` that ran a position.
    fn last(&self, position: usize, pass: usize) -> usize {
        (0..=pass).rev().find(|&p| self.0[p].0.contains(&position)).unwrap()
    }

    /// The keys of layer 1 that pass `pass` sees.
    fn first(&self, pass: usize) -> impl Iterator<Item = u64> {
        let positions = 0..self.0[pass].1.len();
        positions.map(move |p| first(self.0[self.last(p, pass)].1[p], p))
    }

    /// The logits of a position in the latest pass.
    fn logits(&self, position: usize) -> Vec<f32> {
        let pass = self.0.len() - 1;
        let positions = 0..self.0[pass].1.len();
        let second = positions.map(|p| gather(p, self.first(self.last(p, pass))));
        read_out(VOCAB, PEAK, gather(position, second))
    }
}

/// (token, probability) of the likeliest token but the mask.
fn greedy(logits: &[f32]) -> (u32, f64) {
    let z: f64 = logits[..MASK as usize].iter().map(|l| f64::from(*l).exp()).sum();
    let best = (0..MASK).max_by(|a, b| logits[*a as usize].total_cmp(&logits[*b as usize]));
    (best.unwrap(), f64::from(logits[best.unwrap() as usize]).exp() / z)
}

/// How many of the sorted confidences a step commits.
fn count(rule: CommitRule, sorted: &[f64], block_length: usize, blocks: usize) -> usize {
    match rule {
        CommitRule::Schedule { steps } => block_length / (steps / blocks),
        CommitRule::Threshold(t) => sorted.iter().filter(|c| **c >= f64::from(t)).count().max(1),
        CommitRule::Factor(f) => {
            let fits = |n: &usize| (*n as f64 + 1.0) * (1.0 - sorted[n - 1]) < f64::from(f);
            (1..=sorted.len()).filter(fits).max().unwrap_or(1)
        }
    }
}

/// (completion, step and confidence of each position, forward tokens).
fn reference(prompt: &[u32], params: &DiffusionParams) -> (Vec<u32>, Vec<(u32, f64)>, usize) {
    let (gen_length, block_length) = (params.gen_length, params.block_length);
    let len = prompt.len() + gen_length;
    let mut row = prompt.to_vec();
    row.resize(len, MASK);
    let mut trace = vec![(u32::MAX, 0.0); gen_length];
    let mut history = History(Vec::new());
    for block in (prompt.len()..len).step_by(block_length) {
        let inside = block..block + block_length;
        let mut begins = true;
        while row[inside.clone()].contains(&MASK) {
            let refreshes = match params.cache_refresh {
                None => begins,
                Some(passes) => history.0.len().is_multiple_of(passes),
            };
            let start = if begins { block.saturating_sub(block_length) } else { block };
            let part = match params.cache {
                _ if refreshes => 0..len,
                CacheMode::Exact => 0..len,
                CacheMode::PrefixCache => start..len,
                CacheMode::DualCache => start..len.min(inside.end + params.cache_ahead),
            };
            history.0.push((part, row.clone()));
            begins = false;
            let mut predictions: Vec<(usize, u32, f64)> = inside
                .clone()
                .filter(|p| row[*p] == MASK)
                .map(|p| (p, greedy(&history.logits(p))))
                .map(|(p, (token, confidence))| (p, token, confidence))
                .collect();
            predictions.sort_by(|a, b| b.2.total_cmp(&a.2));
            let sorted: Vec<f64> = predictions.iter().map(|p| p.2).collect();
            let n = count(params.commit, &sorted, block_length, gen_length / block_length);
            for &(position, token, confidence) in &predictions[..n] {
                row[position] = token;
                trace[position - prompt.len()] = (history.0.len() as u32 - 1, confidence);
            }
        }
    }
    let tokens = history.0.iter().map(|(part, _)| part.len()).sum();
    (row.split_off(prompt.len()), trace, tokens)
}

#[test]
fn stale_keys_are_as_stale_as_they_should_be() {
    // Whatever fills the cache, and however far a pass looks ahead.
    for (refresh, ahead) in [(None, 0), (Some(2), 0), (Some(5), 3), (None, 4), (Some(100), 100)] {
        stale_keys(refresh, ahead);
    }
}

fn stale_keys(cache_refresh: Option<usize>, cache_ahead: usize) {
    let mut differ = 0;
    for block_length in [12, 6, 4] {
        for rule in rules() {
            let mut completions = Vec::new();
            for mode in MODES {
                let params = params(block_length, rule, mode);
                let params = DiffusionParams { cache_refresh, cache_ahead, ..params };
                let rollouts = run(&Layered::new(VOCAB, PEAK, true), &params, &[0, 1, 2, 3, 4]);
                for (rollout, prompt) in rollouts.iter().zip(prompts()) {
                    let (completion, trace, tokens) = reference(&prompt, &params);
                    assert_eq!(rollout.completion, completion, "{params:?}");
                    for (commit, (step, confidence)) in rollout.trace.iter().zip(trace) {
                        assert_eq!(commit.step, step);
                        assert!((f64::from(commit.confidence) - confidence).abs() < 1e-6);
                        assert!((f64::from(commit.log_prob) - confidence.ln()).abs() < 1e-5);
                    }
                    assert_eq!(rollout.model_calls, rollout.steps() as usize);
                    assert_eq!(rollout.forward_tokens, tokens);
                }
                completions.push(rollouts.into_iter().map(|r| r.completion).collect::<Vec<_>>());
            }
            differ += usize::from(completions[0] != completions[1])
                + usize::from(completions[0] != completions[2])
                + usize::from(completions[1] != completions[2] && block_length < 12);
            if cache_ahead >= 12 {
                assert_eq!(completions[1], completions[2], "dual that runs all that follows");
            }
        }
    }
    // The modes are no synonyms: wherever a block takes several steps they part ways.
    assert!(differ > 20, "{cache_refresh:?} {cache_ahead}: {differ}");
}

#[test]
fn a_refresh_at_every_pass_is_exact() {
    for rule in rules() {
        let run = |mode, cache_refresh| {
            let params = DiffusionParams { cache_refresh, ..params(4, rule, mode) };
            run(&Layered::new(VOCAB, PEAK, true), &params, &[0, 1, 2, 3])
        };
        let exact = run(CacheMode::Exact, None);
        assert_eq!(run(CacheMode::PrefixCache, Some(1)), exact);
        assert_eq!(run(CacheMode::DualCache, Some(1)), exact);
    }
}

#[test]
fn without_influence_between_positions_all_modes_are_one() {
    for block_length in [12, 6, 4] {
        for rule in rules() {
            let run = |mode| {
                let params = DiffusionParams {
                    temperature: 0.9,
                    stop_after_eos: true,
                    ..params(block_length, rule, mode)
                };
                run(&Layered::new(VOCAB, PEAK, false), &params, &[0, 1, 2, 3])
            };
            let exact = run(CacheMode::Exact);
            for mode in [CacheMode::PrefixCache, CacheMode::DualCache] {
                for (a, b) in exact.iter().zip(run(mode)) {
                    assert_eq!((&a.completion, &a.trace), (&b.completion, &b.trace));
                }
            }
        }
    }
}

#[test]
fn blocks_of_one_step_leave_nothing_to_go_stale() {
    for block_length in [12, 4] {
        let rule = CommitRule::Schedule { steps: 12 / block_length };
        let run = |mode| {
            let params = DiffusionParams { temperature: 1.0, ..params(block_length, rule, mode) };
            run(&Layered::new(VOCAB, PEAK, true), &params, &[0, 1, 2, 3])
        };
        let exact = run(CacheMode::Exact);
        assert_eq!(exact, run(CacheMode::PrefixCache));
        assert_eq!(exact, run(CacheMode::DualCache));
    }
}

#[test]
fn the_first_pass_of_a_block_is_exact_and_later_ones_are_not() {
    let model = Layered::new(VOCAB, PEAK, true);
    let whole = |rollout: &Rollout, step| {
        let row = [&rollout.prompt[..], &rollout.canvas_at_step(step)].concat();
        History(vec![(0..row.len(), row)])
    };
    for mode in [CacheMode::PrefixCache, CacheMode::DualCache] {
        let params = params(4, CommitRule::Schedule { steps: 12 }, mode);
        let (mut same, mut others) = (0, 0);
        for rollout in run(&model, &params, &[0, 1, 2, 3]) {
            for (position, commit) in rollout.trace.iter().enumerate() {
                let history = whole(&rollout, commit.step);
                let (_, confidence) = greedy(&history.logits(rollout.prompt.len() + position));
                let equal = (f64::from(commit.confidence) - confidence).abs() < 1e-6;
                if commit.step % 4 == 0 {
                    assert!(equal, "{mode}: step {} is the first of its block", commit.step);
                } else {
                    others += 1;
                    same += usize::from(equal);
                }
            }
        }
        assert!(same < others / 10, "{mode}: {same} of {others}");
    }
}

#[test]
fn the_trace_reproduces_the_canvases_that_were_fed() {
    for mode in [CacheMode::PrefixCache, CacheMode::DualCache] {
        for rule in rules() {
            for stop_after_eos in [false, true] {
                let params = DiffusionParams { stop_after_eos, ..params(4, rule, mode) };
                for row in 0..7 {
                    let cache_refresh = [None, Some(3)][row % 2];
                    let params =
                        DiffusionParams { cache_refresh, cache_ahead: row, ..params.clone() };
                    let model = Layered::new(VOCAB, PEAK, true);
                    let rollout = run(&model, &params, &[row]).remove(0);
                    let seen = model.seen.lock().unwrap();
                    assert_eq!(seen.len(), rollout.steps() as usize);
                    let mut tokens = 0;
                    for (step, parts) in (0..).zip(seen.iter()) {
                        let [(start, ids)] = &parts[..] else { panic!("one row was asked for") };
                        let canvas = [&rollout.prompt[..], &rollout.canvas_at_step(step)].concat();
                        assert_eq!(ids[..], canvas[*start..][..ids.len()]);
                        tokens += ids.len();
                    }
                    assert_eq!(rollout.forward_tokens, tokens);
                }
            }
        }
    }
}

#[test]
fn rows_know_nothing_of_each_other() {
    for mode in MODES {
        for rule in rules() {
            let base =
                DiffusionParams { temperature: 0.8, stop_after_eos: true, ..params(4, rule, mode) };
            let model = Layered::new(VOCAB, PEAK, true);
            let alone: Vec<Rollout> = (0..7).map(|i| run(&model, &base, &[i]).remove(0)).collect();
            for rows in [vec![0, 1, 2, 3, 4, 5, 6], vec![6, 2, 4], vec![3, 1, 0, 6, 5, 2, 4]] {
                for max_rows in [1, 2, 3, usize::MAX] {
                    let params = DiffusionParams { max_rows, ..base.clone() };
                    for (&i, rollout) in rows.iter().zip(run(&model, &params, &rows)) {
                        assert_eq!(rollout, alone[i], "row {i} of {rows:?} with {params:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn rows_at_the_start_of_a_block_and_rows_amid_one_share_a_pass() {
    let model = Layered::new(VOCAB, PEAK, true);
    run(&model, &params(4, CommitRule::Threshold(0.45), CacheMode::DualCache), &[0, 1, 2, 3]);
    let mixed = |parts: &Vec<Part>| {
        parts.iter().any(|(start, _)| *start == 0) && parts.iter().any(|(start, _)| *start > 0)
    };
    assert!(model.seen.lock().unwrap().iter().any(mixed));
}

#[test]
fn what_has_no_cache_refuses_cached_modes() {
    for mode in [CacheMode::PrefixCache, CacheMode::DualCache] {
        let params = params(4, CommitRule::Threshold(0.9), mode);
        let key = SampleKey { seed: 0, step: 0, samples: &[0] };
        let model = hashed(VOCAB, PEAK);
        let refused = generate(&model, &[vec![2]], &params, key).unwrap_err();
        assert!(
            matches!(refused, SampleError::Params(ParamsError::NoCache { mode: m }) if m == mode)
        );
        assert!(model.seen().is_empty());
    }
}

#[test]
fn interrupts_stop_before_the_next_cached_pass() {
    let model = Layered::new(VOCAB, PEAK, true);
    let asked = std::cell::Cell::new(0);
    let interrupt = || asked.replace(asked.get() + 1) == 3;
    let params = params(4, CommitRule::Schedule { steps: 12 }, CacheMode::DualCache);
    let key = SampleKey { seed: 0, step: 0, samples: &[0] };
    let result = generate_cached_with(&model, &[vec![2]], &params, key, &mut |_| (), &interrupt);
    assert!(matches!(result, Err(SampleError::Interrupted(_))));
    assert_eq!(model.seen.lock().unwrap().len(), 3);
}
