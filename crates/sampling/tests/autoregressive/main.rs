//! Autoregressive sampling, with models whose distributions are known.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod dynamic_rope;
mod engine;
mod seq2seq;
mod toy;

use afterthought_sampling::autoregressive::{
    AutoregressiveParams, Completion, FinishReason, GenerateError, Generation, Hooks, ParamsError,
    PassEvent, Prompt, SeedKey, choose, generate, generate_with,
};
use afterthought_sampling::diffusion::BadLogits;
use toy::{EOS, Toy, VOCAB};

const KEY: SeedKey = SeedKey { seed: 7, step: 3 };

fn params(max_new_tokens: usize) -> AutoregressiveParams {
    AutoregressiveParams::new(max_new_tokens, vec![EOS])
}

fn run(prompts: &[(&[u32], &[u64])], params: &AutoregressiveParams) -> Generation {
    let prompts: Vec<Prompt<'_>> =
        prompts.iter().map(|(tokens, samples)| Prompt { tokens, samples }).collect();
    generate(&Toy::default(), &prompts, params, KEY).unwrap()
}

/// Chi-squared of counts against weights.
fn chi_squared(counts: &[f64], weights: &[f64]) -> f64 {
    let (draws, total): (f64, f64) = (counts.iter().sum(), weights.iter().sum());
    counts
        .iter()
        .zip(weights)
        .map(|(count, weight)| (count - draws * weight / total).powi(2) / (draws * weight / total))
        .sum()
}

#[test]
fn frequencies_follow_the_tempered_softmax_along_the_sequence() {
    // Two tokens a completion: the second depends on the first.
    let samples: Vec<u64> = (0..40_000).collect();
    for temperature in [0.5, 1.0, 2.0] {
        let params = AutoregressiveParams { temperature, eos_ids: Vec::new(), ..params(2) };
        let result = run(&[(&[2, 1], &samples)], &params);
        let mut counts = vec![0.0; VOCAB * VOCAB];
        for completion in &result.completions[0] {
            counts[completion.tokens[0] as usize * VOCAB + completion.tokens[1] as usize] += 1.0;
        }
        let mut expected = Vec::new();
        for first in 0..VOCAB as u32 {
            let p = Toy::probabilities(&[2, 1], temperature)[first as usize];
            let next = Toy::probabilities(&[2, 1, first], temperature);
            expected.extend(next.iter().map(|q| p * q));
        }
        // 24 degrees of freedom: 51.2 is exceeded once in a thousand.
        let chi = chi_squared(&counts, &expected);
        assert!(chi < 51.2, "temperature {temperature}: {chi}");
    }
}

#[test]
fn log_probs_are_those_of_the_model_without_temperature() {
    let params = AutoregressiveParams { temperature: 0.7, top_k: Some(3), ..params(12) };
    let samples: Vec<u64> = (0..50).collect();
    for completion in &run(&[(&[1, 4], &samples)], &params).completions[0] {
        let mut tokens = vec![1, 4];
        for (token, log_prob) in completion.tokens.iter().zip(&completion.log_probs) {
            let expected = Toy::probabilities(&tokens, 1.0)[*token as usize].ln();
            assert!((f64::from(*log_prob) - expected).abs() < 1e-5);
            tokens.push(*token);
        }
    }
}

#[test]
fn completions_end_at_eos_or_at_the_limit() {
    let samples: Vec<u64> = (0..300).collect();
    let result = run(&[(&[1], &samples)], &params(9));
    let mut reasons = [0, 0];
    for Completion { tokens, log_probs, finish } in &result.completions[0] {
        assert_eq!(tokens.len(), log_probs.len());
        let (last, before) = tokens.split_last().unwrap();
        assert!(!before.contains(&EOS));
        assert_eq!(*finish == FinishReason::Eos, *last == EOS);
        assert!(*last == EOS || tokens.len() == 9);
        reasons[usize::from(*finish == FinishReason::Eos)] += 1;
    }
    assert!(reasons[0] > 5 && reasons[1] > 5, "{reasons:?}");
    // The prompt once, then every token but the last of each.
    let new: usize = result.completions[0].iter().map(|c| c.tokens.len() - 1).sum();
    assert_eq!(result.cost.forward_tokens, 1 + new);
    assert_eq!(result.cost.passes, 9);
}

#[test]
fn completions_do_not_depend_on_the_batch() {
    let prompts: [(&[u32], &[u64]); 4] =
        [(&[1], &[0, 1, 2, 3, 4]), (&[2, 3, 1], &[5]), (&[4], &[]), (&[1], &[9, 0])];
    let all = run(&prompts, &params(8)).completions;
    assert_eq!(all.iter().map(Vec::len).collect::<Vec<_>>(), [5, 1, 0, 2]);
    // The same prompt and sample id.
    assert_eq!(all[0][0], all[3][1]);
    for max_rows in [1, 2, 3, 5, 100] {
        let params = AutoregressiveParams { max_rows, ..params(8) };
        assert_eq!(run(&prompts, &params).completions, all, "{max_rows} rows");
    }
    for (prompt, expected) in prompts.iter().zip(&all) {
        for (sample, expected) in prompt.1.iter().zip(expected) {
            assert_eq!(&run(&[(prompt.0, &[*sample])], &params(8)).completions[0][0], expected);
        }
    }
    let other = SeedKey { step: 4, ..KEY };
    let prompt = [Prompt { tokens: &[1], samples: &[0, 1, 2, 3, 4] }];
    let other = generate(&Toy::default(), &prompt, &params(8), other).unwrap();
    assert_ne!(other.completions[0], all[0]);
}

#[test]
fn greedy_takes_the_most_likely() {
    let params = AutoregressiveParams { temperature: 0.0, ..params(20) };
    let result = run(&[(&[3], &[0, 1])], &params);
    let mut tokens = vec![3];
    for token in &result.completions[0][0].tokens {
        let p = Toy::probabilities(&tokens, 1.0);
        assert!(p.iter().all(|other| *other <= p[*token as usize]));
        tokens.push(*token);
    }
    assert_eq!(result.completions[0][0], result.completions[0][1]);
    let tie = choose(&[0.0, 2.0, 2.0], &params, 0.99).unwrap();
    assert_eq!(tie.token, 1);
}

#[test]
fn cut_off_distributions() {
    // Over several chunks, so that every part of the search is used.
    let logits: Vec<f32> =
        (0..1000).map(|i| ((i * 7919 % 1000) as f32 * 0.01).sin() * 4.0).collect();
    let weights: Vec<f64> = logits.iter().map(|l| (f64::from(*l) / 0.8).exp()).collect();
    let mut order: Vec<usize> = (0..1000).collect();
    order.sort_by(|a, b| weights[*b].total_cmp(&weights[*a]).then(a.cmp(b)));
    for (top_k, top_p) in
        [(None, None), (Some(1), None), (Some(40), None), (None, Some(0.3)), (Some(500), Some(0.9))]
    {
        let params = AutoregressiveParams { temperature: 0.8, top_k, top_p, ..params(1) };
        let mut kept: Vec<usize> = order[..top_k.unwrap_or(1000)].to_vec();
        let total: f64 = kept.iter().map(|token| weights[*token]).sum();
        let mut sum = 0.0;
        let enough = kept.iter().position(|token| {
            sum += weights[*token];
            sum >= top_p.unwrap_or(2.0) * total
        });
        kept.truncate(enough.map_or(kept.len(), |at| at + 1));
        let mass: f64 = kept.iter().map(|token| weights[*token]).sum();
        let mut counts = vec![0.0; 1000];
        let draws = 20_000;
        for draw in 0..draws {
            let uniform = (f64::from(draw) + 0.5) / f64::from(draws);
            counts[choose(&logits, &params, uniform).unwrap().token as usize] += 1.0;
        }
        // The draws are evenly spaced, so a count is off by less than two.
        for token in 0..1000 {
            let p = if kept.contains(&token) { weights[token] / mass } else { 0.0 };
            let difference = counts[token] - p * f64::from(draws);
            assert!(difference.abs() < 2.0, "{top_k:?} {top_p:?}, {token}: {difference}");
            assert!(p > 0.0 || counts[token] == 0.0);
        }
    }
}

#[test]
fn logits_that_are_no_distribution() {
    let (inf, nan) = (f32::INFINITY, f32::NAN);
    for (fill, bad, expected) in [
        (0.0, nan, BadLogits::NotFinite),
        (0.0, inf, BadLogits::NotFinite),
        (-inf, nan, BadLogits::NotFinite),
        (-inf, -inf, BadLogits::NothingLeft),
    ] {
        for at in [0, 300, 599] {
            let mut logits = vec![fill; 600];
            logits[at] = bad;
            assert_eq!(choose(&logits, &params(1), 0.5), Err(expected));
        }
    }
    // Tokens that are ruled out never win.
    let mut logits = vec![-inf; 600];
    logits[300] = 1.0;
    for uniform in [1e-9, 0.5, 1.0 - 1e-9] {
        assert_eq!(choose(&logits, &params(1), uniform).unwrap().token, 300);
    }
    let toy = Toy { bad_after: Some(4) };
    let prompt = [Prompt { tokens: &[1, 2], samples: &[0] }];
    let params = AutoregressiveParams { eos_ids: Vec::new(), ..params(9) };
    match generate(&toy, &prompt, &params, KEY) {
        Err(GenerateError::BadLogits { prompt: 0, sample: 0, position: 2, .. }) => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn calls_that_cannot_run_are_errors() {
    let check = |params: AutoregressiveParams, tokens: &[u32]| {
        let prompts = [Prompt { tokens: &[1], samples: &[0] }, Prompt { tokens, samples: &[1] }];
        match generate(&Toy::default(), &prompts, &params, KEY) {
            Err(GenerateError::Params(error)) => error,
            other => panic!("{other:?}"),
        }
    };
    let with = |change: fn(&mut AutoregressiveParams)| {
        let mut params = params(5);
        change(&mut params);
        check(params, &[1])
    };
    assert_eq!(with(|p| p.max_new_tokens = 0), ParamsError::Zero { name: "max_new_tokens" });
    assert_eq!(with(|p| p.max_rows = 0), ParamsError::Zero { name: "max_rows" });
    assert_eq!(with(|p| p.top_k = Some(0)), ParamsError::Zero { name: "top_k" });
    assert!(matches!(with(|p| p.temperature = f64::NAN), ParamsError::Temperature { .. }));
    assert!(matches!(with(|p| p.top_p = Some(0.0)), ParamsError::TopP { .. }));
    assert!(matches!(with(|p| p.eos_ids = vec![5]), ParamsError::OutOfVocabulary { id: 5, .. }));
    assert_eq!(check(params(5), &[]), ParamsError::EmptyPrompt { prompt: 1 });
    assert!(matches!(check(params(5), &[2, 9]), ParamsError::OutOfVocabulary { id: 9, .. }));
    assert!(matches!(check(params(99), &[2, 3]), ParamsError::TooLong { prompt: 1, .. }));

    let prompts = [Prompt { tokens: &[1], samples: &[0, 1, 2] }];
    let asked = std::cell::Cell::new(0);
    let interrupt = || {
        asked.set(asked.get() + 1);
        asked.get() == 3
    };
    let endless = AutoregressiveParams { eos_ids: Vec::new(), ..params(50) };
    let hooks = Hooks { on_pass: &mut |_| {}, stop: &|_| false, interrupt: &interrupt };
    match generate_with(&Toy::default(), &prompts, &endless, KEY, hooks) {
        Err(GenerateError::Interrupted(interrupted)) => assert_eq!(interrupted.total, 3),
        other => panic!("{other:?}"),
    }
    assert_eq!(asked.get(), 3);
}

#[test]
fn every_token_and_every_end_is_reported_once() {
    let prompts = [
        Prompt { tokens: &[1], samples: &[0, 1, 2] },
        Prompt { tokens: &[2, 3], samples: &[3] },
        Prompt { tokens: &[3], samples: &[4, 5] },
    ];
    for (max_rows, max_new_tokens) in [(1, 6), (2, 6), (usize::MAX, 6), (2, 1)] {
        let params = AutoregressiveParams { max_rows, ..params(max_new_tokens) };
        let (mut tokens, mut ends) = (0, Vec::new());
        let mut watch = |event: &PassEvent<'_>| {
            tokens += event.tokens;
            ends.extend(event.finished.iter().map(|row| (row.prompt, row.sample, row.tokens)));
        };
        let hooks = Hooks { on_pass: &mut watch, stop: &|_| false, interrupt: &|| false };
        let result = generate_with(&Toy::default(), &prompts, &params, KEY, hooks).unwrap();
        ends.sort_unstable();
        let mut expected = Vec::new();
        for (prompt, completions) in result.completions.iter().enumerate() {
            for (sample, completion) in completions.iter().enumerate() {
                expected.push((prompt, sample, completion.tokens.len()));
            }
        }
        assert_eq!(ends, expected);
        assert_eq!(tokens, expected.iter().map(|row| row.2).sum::<usize>());
    }
}

#[test]
fn suppressed_tokens_are_never_drawn_and_not_counted() {
    let samples: Vec<u64> = (0..500).collect();
    let params = AutoregressiveParams { suppress: vec![0, 3], eos_ids: Vec::new(), ..params(2) };
    for completion in &run(&[(&[2, 1], &samples)], &params).completions[0] {
        assert!(!completion.tokens.iter().any(|token| [0, 3].contains(token)));
        let all = Toy::probabilities(&[2, 1], 1.0);
        let rest = 1.0 - all[0] - all[3];
        let expected = (all[completion.tokens[0] as usize] / rest).ln();
        assert!((f64::from(completion.log_probs[0]) - expected).abs() < 1e-5);
    }
}

#[test]
fn forced_tokens_stand_where_they_must_with_their_own_probabilities() {
    let samples: Vec<u64> = (0..50).collect();
    let forced = AutoregressiveParams {
        forced_first: Some(3),
        forced_last: Some(2),
        eos_ids: Vec::new(),
        ..params(4)
    };
    for completion in &run(&[(&[2, 1], &samples)], &forced).completions[0] {
        assert_eq!((completion.tokens[0], completion.tokens[3]), (3, 2));
        let mut text = vec![2, 1];
        for (token, log_prob) in completion.tokens.iter().zip(&completion.log_probs) {
            let expected = Toy::probabilities(&text, 1.0)[*token as usize].ln();
            assert!((f64::from(*log_prob) - expected).abs() < 1e-5);
            text.push(*token);
        }
    }
    // The last place wins where both are one; a completion that ends earlier never gets there.
    let one = AutoregressiveParams { max_new_tokens: 1, ..forced.clone() };
    assert_eq!(run(&[(&[2, 1], &[0])], &one).completions[0][0].tokens, [2]);
    let early = AutoregressiveParams { eos_ids: vec![3], ..forced };
    assert_eq!(run(&[(&[2, 1], &[0])], &early).completions[0][0].tokens, [3]);
    let outside = AutoregressiveParams { forced_last: Some(VOCAB as u32), ..params(4) };
    assert!(matches!(
        outside.validate(&[], VOCAB, 100),
        Err(ParamsError::OutOfVocabulary { name, .. }) if name == "forced_last"
    ));
}

#[test]
fn a_stopped_completion_is_the_beginning_of_the_whole_one() {
    let samples: Vec<u64> = (0..40).collect();
    let prompts = [Prompt { tokens: &[1], samples: &samples }];
    let params = AutoregressiveParams { max_rows: 7, eos_ids: Vec::new(), ..params(12) };
    let whole = generate(&Toy::default(), &prompts, &params, KEY).unwrap();
    // The second 2 of a completion ends it.
    let stop = |tokens: &[u32]| tokens.iter().filter(|token| **token == 2).count() == 2;
    let hooks = Hooks { on_pass: &mut |_| {}, stop: &stop, interrupt: &|| false };
    let stopped = generate_with(&Toy::default(), &prompts, &params, KEY, hooks).unwrap();
    let mut ended = 0;
    for (whole, stopped) in whole.completions[0].iter().zip(&stopped.completions[0]) {
        let end = (1..=whole.tokens.len()).find(|end| stop(&whole.tokens[..*end]));
        assert_eq!(stopped.tokens, whole.tokens[..end.unwrap_or(whole.tokens.len())]);
        let reason = end.map_or(whole.finish, |_| FinishReason::Stop);
        assert_eq!(stopped.finish, reason);
        ended += usize::from(end.is_some());
    }
    assert!(ended > 5, "{ended}");
}
