//! Likelihood estimates and the masked-diffusion loss against exact enumeration of a model that
//! is small enough for it: six tokens, completions of four.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod tiny;

use afterthought_models::{Batch, Decoder, DecoderConfig};
use afterthought_training::estimator::{MaskCount, Pass, likelihood_passes, log_likelihood};
use afterthought_training::objective::{
    Example, MdlmOptions, Noise, Normalisation, TimeWeight, mask_batch,
};
use afterthought_training::{Error, Learner, supervised_step};
use std::collections::HashMap;
use tiny::{BOS, EOS, MASK, config, constant, decoder, mean, sgd, values};

const LENGTH: usize = 4;
const PROMPT: [u32; 2] = [BOS, 4];
/// BOS and EOS serve as data here; with the mask that makes six.
const TOKENS: [u32; 5] = [BOS, EOS, 3, 4, 5];

fn tiny_decoder() -> Decoder {
    decoder(DecoderConfig { vocab_size: 6, ..config() }, 7)
}

/// `log p(token | canvas)` of every masked position of every canvas.
struct Table(HashMap<Vec<u32>, [[f64; 6]; LENGTH]>);

impl Table {
    fn new(decoder: &Decoder) -> Self {
        let mut canvases = vec![Vec::new()];
        for _ in 0..LENGTH {
            let longer =
                |canvas: Vec<u32>| (0..6).map(move |token| [canvas.as_slice(), &[token]].concat());
            canvases = canvases.into_iter().flat_map(longer).collect();
        }
        let rows: Vec<Vec<u32>> =
            canvases.iter().map(|c| [&PROMPT, c.as_slice()].concat()).collect();
        let batch = Batch::from_rows(&rows, 0).unwrap();
        let (mut positions, mut targets, mut places) = (Vec::new(), Vec::new(), Vec::new());
        for (row, canvas) in canvases.iter().enumerate() {
            for column in (0..LENGTH).filter(|column| canvas[*column] == MASK) {
                for token in TOKENS {
                    positions.push((row * batch.width() + PROMPT.len() + column) as u32);
                    targets.push(token);
                    places.push((row, column, token as usize));
                }
            }
        }
        let log_probs = decoder.log_probs_at(&batch, positions.into(), targets.into()).unwrap();
        let mut table = vec![[[f64::NAN; 6]; LENGTH]; canvases.len()];
        for ((row, column, token), value) in places.into_iter().zip(values(log_probs)) {
            table[row][column][token] = f64::from(value);
        }
        Self(canvases.into_iter().zip(table).collect())
    }

    fn log_prob(&self, canvas: &[u32], position: usize, token: u32) -> f64 {
        let value = self.0[canvas][position][token as usize];
        assert!(value <= 0.0, "not masked: {canvas:?} {position}");
        value
    }

    /// `sum log p(masked tokens of x | the others)`; bit `i` of `masked` is position `i`.
    fn masked_sum(&self, x: &[u32], masked: usize) -> f64 {
        let canvas = hide(x, masked);
        let hidden = (0..LENGTH).filter(|i| masked >> i & 1 == 1);
        hidden.map(|i| self.log_prob(&canvas, i, x[i])).sum()
    }

    /// `log p(x)` along each order of writing the tokens.
    fn by_order(&self, x: &[u32]) -> Vec<f64> {
        orders()
            .iter()
            .map(|order| {
                let mut masked = (1 << LENGTH) - 1;
                let mut total = 0.0;
                for position in order {
                    total += self.log_prob(&hide(x, masked), *position, x[*position]);
                    masked &= !(1 << position);
                }
                total
            })
            .collect()
    }

    /// `log p(x)` when the order is drawn uniformly first.
    fn log_likelihood(&self, x: &[u32]) -> f64 {
        let probabilities: Vec<f64> = self.by_order(x).iter().map(|l| l.exp()).collect();
        mean(&probabilities).0.ln()
    }

    /// The bound `E_k[ L / k * E_{|M| = k}[ sum log p(masked) ] ]`, `k` uniform on `1..=L`.
    fn elbo(&self, x: &[u32]) -> f64 {
        (1..1usize << LENGTH)
            .map(|masked| {
                let count = masked.count_ones() as usize;
                self.masked_sum(x, masked) / (count as f64 * binomial(LENGTH, count))
            })
            .sum()
    }

    /// The weighted sum of log-probabilities of passes.
    fn evaluate(&self, passes: &[(Pass, f64)]) -> f64 {
        let value = |pass: &Pass| -> f64 {
            let canvas = &pass.canvas[PROMPT.len()..];
            pass.scored
                .iter()
                .map(|scored| self.log_prob(canvas, scored.column - PROMPT.len(), scored.token))
                .sum()
        };
        passes.iter().map(|(pass, weight)| weight * value(pass)).sum()
    }
}

fn hide(x: &[u32], masked: usize) -> Vec<u32> {
    x.iter()
        .enumerate()
        .map(|(i, token)| if masked >> i & 1 == 1 { MASK } else { *token })
        .collect()
}

fn orders() -> Vec<Vec<usize>> {
    let mut orders = vec![Vec::new()];
    for _ in 0..LENGTH {
        let longer = |order: Vec<usize>| {
            let next = (0..LENGTH).filter(|i| !order.contains(i)).collect::<Vec<_>>();
            next.into_iter().map(move |i| [order.as_slice(), &[i]].concat())
        };
        orders = orders.into_iter().flat_map(longer).collect();
    }
    assert_eq!(orders.len(), 24);
    orders
}

fn binomial(n: usize, k: usize) -> f64 {
    (0..k).map(|i| (n - i) as f64 / (i + 1) as f64).product()
}

fn sequences() -> Vec<Vec<u32>> {
    let mut sequences = vec![Vec::new()];
    for _ in 0..LENGTH {
        let longer =
            |x: Vec<u32>| TOKENS.iter().map(move |token| [x.as_slice(), &[*token]].concat());
        sequences = sequences.into_iter().flat_map(longer).collect();
    }
    sequences
}

#[test]
fn the_any_order_likelihood_is_a_distribution_bounded_by_the_elbo() {
    let table = Table::new(&tiny_decoder());
    let (mut total, mut gap) = (0.0, 0.0f64);
    for x in sequences() {
        let (by_order, exact, elbo) =
            (table.by_order(&x), table.log_likelihood(&x), table.elbo(&x));
        total += exact.exp();
        // Two ways to enumerate the bound: over subsets and over orders.
        assert!((elbo - mean(&by_order).0).abs() < 1e-9, "{x:?}");
        assert!(elbo <= exact + 1e-12, "{x:?}: {elbo} > {exact}");
        gap = gap.max(exact - elbo);
    }
    assert!((total - 1.0).abs() < 1e-5, "{total}");
    assert!(gap > 1e-2, "the model does not care about the order: {gap}");
}

#[test]
fn both_estimators_agree_with_the_exact_bound() {
    let table = Table::new(&tiny_decoder());
    for x in [[3, 4, 5, EOS], [5, 5, BOS, 3], [EOS; LENGTH]] {
        let exact = table.elbo(&x);
        let estimates = |samples, count| -> Vec<f64> {
            (0..4000)
                .map(|seed| {
                    table.evaluate(&likelihood_passes(&PROMPT, &x, MASK, samples, count, seed))
                })
                .collect()
        };
        // As many samples as tokens, one, and a number that does not divide them.
        for samples in [LENGTH, 1, 7] {
            let errors = [MaskCount::Stratified, MaskCount::Bernoulli].map(|count| {
                let (mean, error) = mean(&estimates(samples, count));
                assert!(
                    (mean - exact).abs() < 4.5 * error,
                    "{x:?}, {count:?}, {samples} samples: {mean} +- {error}, exact {exact}"
                );
                error
            });
            assert!(errors[0] < 0.7 * errors[1], "{x:?}, {samples} samples: {errors:?}");
        }
    }
}

#[test]
fn stratified_samples_as_many_as_tokens_use_every_count_once() {
    for seed in 0..50 {
        let x = [3, 4, 5, EOS];
        let passes = likelihood_passes(&PROMPT, &x, MASK, LENGTH, MaskCount::Stratified, seed);
        let mut counts: Vec<usize> = passes.iter().map(|(pass, _)| pass.scored.len()).collect();
        counts.sort_unstable();
        assert_eq!(counts, [1, 2, 3, 4]);
        for (pass, weight) in passes {
            assert_eq!(pass.canvas[..2], PROMPT);
            assert!((weight * pass.scored.len() as f64 - 1.0).abs() < 1e-12);
        }
    }
}

#[test]
fn log_likelihood_runs_the_model_on_its_passes() {
    let decoder = tiny_decoder();
    let table = Table::new(&decoder);
    let x = [3, 4, 5, EOS];
    for count in [MaskCount::Stratified, MaskCount::Bernoulli] {
        for seed in 0..20 {
            // More passes than run in one batch.
            let samples = 70;
            let got = log_likelihood(&decoder, &PROMPT, &x, samples, count, seed).unwrap();
            let passes = likelihood_passes(&PROMPT, &x, MASK, samples, count, seed);
            let expected = table.evaluate(&passes);
            assert!((got - expected).abs() < 1e-5 * expected.abs(), "{got} {expected}");
        }
    }
    assert_eq!(log_likelihood(&decoder, &PROMPT, &[], 8, MaskCount::Stratified, 0).unwrap(), 0.0);
    let config = DecoderConfig { mask_token_id: None, ..decoder.config().clone() };
    let unmasked = tiny::decoder(config, 7);
    let result = log_likelihood(&unmasked, &PROMPT, &x, 8, MaskCount::Stratified, 0);
    assert!(matches!(result, Err(Error::Setting { key: "mask_token_id", .. })));
}

/// `E_t[ w(t) P(masked set | t) ]` for a set of `count` of `LENGTH` tokens, `t` uniform on
/// `[eps, 1]`, by Simpson's rule.
fn expected_weight(count: usize, weight: TimeWeight) -> f64 {
    let (epsilon, cells) = (1e-3, 2000);
    let value = |t: f64| {
        let scale = if weight == TimeWeight::Scheduler { 1.0 / t } else { 1.0 };
        scale * t.powi(count as i32) * (1.0 - t).powi((LENGTH - count) as i32)
    };
    let at = |i: usize| value(epsilon + (1.0 - epsilon) * i as f64 / (2 * cells) as f64);
    let sum: f64 = (0..cells).map(|i| at(2 * i) + 4.0 * at(2 * i + 1) + at(2 * i + 2)).sum();
    sum / (6.0 * cells as f64)
}

#[test]
fn the_expected_loss_is_the_negative_bound_a_token() {
    let table = Table::new(&tiny_decoder());
    // The two EOS of padding are masked and predicted like any token.
    let x = [4, 3, EOS, EOS];
    let example = Example { prompt: PROMPT.to_vec(), completion: vec![4, 3], window: LENGTH };
    let elbo = table.elbo(&x);
    for time_weight in [TimeWeight::Scheduler, TimeWeight::Uniform] {
        let subsets = 1..1usize << LENGTH;
        let exact: f64 = subsets
            .map(|m| {
                -expected_weight(m.count_ones() as usize, time_weight) * table.masked_sum(&x, m)
            })
            .sum();
        if time_weight == TimeWeight::Scheduler {
            // Times below 1e-3 are not drawn: that is all the difference.
            assert!((exact + elbo).abs() < 2e-3 * elbo.abs(), "{exact} {elbo}");
        }
        for noise in [Noise::Bernoulli, Noise::Stratified] {
            for normalisation in
                [Normalisation::Token, Normalisation::Sequence, Normalisation::Batch]
            {
                let options =
                    MdlmOptions { time_weight, normalisation, noise, ..Default::default() };
                let divisor = match normalisation {
                    Normalisation::Batch => 1.0,
                    Normalisation::Token | Normalisation::Sequence => LENGTH as f64,
                };
                let losses: Vec<f64> =
                    (0..4000).map(|step| loss(&table, &[&example; 3], &options, step)).collect();
                let (mean, error) = mean(&losses);
                let expected = exact / divisor;
                assert!(
                    (mean - expected).abs() < 4.5 * error,
                    "{options:?}: {mean} +- {error}, expected {expected}"
                );
            }
        }
    }
}

/// The loss of one draw of masks, read from the table.
fn loss(table: &Table, examples: &[&Example], options: &MdlmOptions, step: u64) -> f64 {
    let batch = mask_batch(examples, options, [MASK, EOS], 5, step).unwrap();
    (0..batch.targets.len())
        .map(|i| {
            let canvas = &batch.rows[batch.row[i]][PROMPT.len()..];
            let position = batch.column[i] - PROMPT.len();
            -f64::from(batch.weights[i]) * table.log_prob(canvas, position, batch.targets[i])
        })
        .sum()
}

#[test]
fn a_supervised_step_reports_this_loss() {
    let table = Table::new(&tiny_decoder());
    let examples = [vec![4, 3], vec![5, 5, 5, 3], vec![]].map(|completion| Example {
        prompt: PROMPT.to_vec(),
        completion,
        window: LENGTH,
    });
    let examples: Vec<&Example> = examples.iter().collect();
    for step in 0..20 {
        let options = MdlmOptions::default();
        let expected = loss(&table, &examples, &options, step);
        // Rows in which nothing is masked are part of it: also when they come alone.
        for max_rows in [1, 2, 100] {
            let mut learner = Learner::new(tiny_decoder(), sgd(), constant(1.0));
            let keys = ([MASK, EOS], [5, step]);
            let update =
                supervised_step(&mut learner, &examples, &options, keys.0, keys.1, max_rows)
                    .unwrap();
            assert!((update.loss - expected).abs() < 1e-5 * (1.0 + expected), "step {step}");
        }
    }
}
