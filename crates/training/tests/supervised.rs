//! Masked-diffusion training steps: the loss goes down, padding is learnt, masks are keyed.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod tiny;

use afterthought_models::Batch;
use afterthought_training::objective::{
    Example, MaskedBatch, MdlmOptions, Noise, Normalisation, TimeWeight, mask_batch,
};
use afterthought_training::{Decay, Error, Learner, Schedule, supervised_step};
use tiny::{
    BOS, EOS, MASK, SGD_EPSILON, adamw, config, constant, decoder, distance, sgd, values, weights,
    with_threads,
};

const SPECIAL: [u32; 2] = [MASK, EOS];

fn example(prompt: &[u32], completion: &[u32], window: usize) -> Example {
    Example { prompt: prompt.to_vec(), completion: completion.to_vec(), window }
}

/// Completions repeat the prompt's word; some are shorter than the window.
fn corpus() -> Vec<Example> {
    vec![
        example(&[BOS, 4], &[4, 4, 4, 4], 5),
        example(&[BOS, 5], &[5, 5], 5),
        example(&[BOS, 5, 6], &[6, 6, 6], 5),
        example(&[BOS, 7], &[], 5),
    ]
}

fn train(learner: &mut Learner, steps: std::ops::Range<u64>, max_rows: usize) -> Vec<f64> {
    let corpus = corpus();
    let examples: Vec<&Example> = corpus.iter().collect();
    let options = MdlmOptions { noise: Noise::Stratified, ..MdlmOptions::default() };
    steps
        .map(|step| {
            supervised_step(learner, &examples, &options, SPECIAL, [3, step], max_rows)
                .unwrap()
                .loss
        })
        .collect()
}

#[test]
fn the_loss_goes_down_and_padding_is_learnt() {
    let mut learner = Learner::new(decoder(config(), 5), adamw(), constant(1e-2));
    let losses = train(&mut learner, 0..150, 100);
    let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
    let (first, last) = (mean(&losses[..20]), mean(&losses[130..]));
    assert!(last < 0.2 * first, "{first} {last}");
    assert_eq!(learner.step(), 150);
    // On a fully masked window the model writes each completion and then EOS.
    for example in corpus() {
        let row = [example.prompt.as_slice(), &[MASK; 5]].concat();
        let batch = Batch::from_rows(&[row], 0).unwrap();
        let start = example.prompt.len() as u32;
        let positions = (start..start + 5).collect();
        let logits = values(learner.decoder().logits_at(&batch, positions).unwrap());
        let best = |row: &[f32]| (0..8).max_by(|a, b| row[*a].total_cmp(&row[*b])).unwrap() as u32;
        let written: Vec<u32> = logits.chunks_exact(8).map(best).collect();
        let mut expected = example.completion.clone();
        expected.resize(5, EOS);
        assert_eq!(written, expected);
    }
}

#[test]
fn without_padding_in_the_window_nothing_teaches_to_stop() {
    // The same completions, but windows that end with them.
    let train = |pad: usize| {
        let mut learner = Learner::new(decoder(config(), 5), adamw(), constant(1e-2));
        let examples = [example(&[BOS, 4], &[4, 4], 2 + pad), example(&[BOS, 5], &[5, 5], 2 + pad)];
        let examples: Vec<&Example> = examples.iter().collect();
        for step in 0..150 {
            let options = MdlmOptions::default();
            supervised_step(&mut learner, &examples, &options, SPECIAL, [3, step], 100).unwrap();
        }
        let batch = Batch::from_rows(&[vec![BOS, 4, MASK, MASK, MASK, MASK]], 0).unwrap();
        let end = learner.decoder().log_probs_at(&batch, [4].into(), [EOS].into()).unwrap();
        values(end)[0].exp()
    };
    let (with, without) = (train(2), train(0));
    assert!(with > 0.9 && without < 0.5, "{with} {without}");
}

/// Masked columns of each row, and the weights.
fn masks(batch: &MaskedBatch) -> Vec<(Vec<usize>, Vec<f32>)> {
    (0..batch.rows.len())
        .map(|row| {
            let own = (0..batch.row.len()).filter(|i| batch.row[*i] == row);
            own.map(|i| (batch.column[i], batch.weights[i])).unzip()
        })
        .collect()
}

#[test]
fn masks_are_keyed_by_index_and_by_nothing_else_of_the_batch() {
    let (a, b, c) = (
        example(&[BOS, 4], &[4, 4, 4, 4], 5),
        example(&[BOS, 5], &[5], 5),
        example(&[BOS, 6], &[6, 7], 5),
    );
    let options = MdlmOptions { normalisation: Normalisation::Batch, ..MdlmOptions::default() };
    let mut seen = std::collections::BTreeSet::new();
    for step in 0..40 {
        let draw = |examples: &[&Example], seed| {
            masks(&mask_batch(examples, &options, SPECIAL, seed, step).unwrap())
        };
        // Exchanged examples get the masks of their new place; a third one changes the weights
        // (a batch mean) of the others but not their masks.
        let (ab, ba, abc) = (draw(&[&a, &b], 1), draw(&[&b, &a], 1), draw(&[&a, &b, &c], 1));
        assert_eq!(ab, ba);
        for (two, three) in ab.iter().zip(&abc) {
            assert_eq!(two.0, three.0);
            for (x, y) in two.1.iter().zip(&three.1) {
                assert!((x / 3.0 - y / 2.0).abs() < 1e-5 * x);
            }
        }
        seen.insert(ab[0].0.clone());
        seen.insert(ab[1].0.clone());
        seen.insert(draw(&[&a, &b], 2)[0].0.clone());
    }
    // 120 draws from 32 subsets: rows, steps and seeds see different masks.
    assert!(seen.len() > 16, "{}", seen.len());
}

#[test]
fn weights_divide_by_windows_padding_included() {
    let (short, long) = (example(&[BOS], &[4], 2), example(&[BOS], &[5, 5], 6));
    for (normalisation, expected) in [
        (Normalisation::Token, [1.0 / 8.0, 1.0 / 8.0]),
        (Normalisation::Sequence, [1.0 / 4.0, 1.0 / 12.0]),
        (Normalisation::Batch, [1.0 / 2.0, 1.0 / 2.0]),
    ] {
        let options =
            MdlmOptions { normalisation, time_weight: TimeWeight::Uniform, ..Default::default() };
        let (mut eos, mut padding) = (0, 0);
        for step in 0..60 {
            let batch = mask_batch(&[&short, &long], &options, SPECIAL, 7, step).unwrap();
            for (row, weight) in batch.row.iter().zip(&batch.weights) {
                assert_eq!(*weight, expected[*row] as f32, "{normalisation:?}");
            }
            eos += batch.targets.iter().filter(|target| **target == EOS).count();
            let columns = batch.row.iter().zip(&batch.column);
            padding += columns.filter(|(row, column)| [2, 3][**row] <= **column).count();
        }
        // Half of the five padding positions are masked, and each predicts EOS.
        assert_eq!(eos, padding);
        assert!((100..200).contains(&eos), "{eos}");
    }
}

#[test]
fn the_update_does_not_depend_on_how_rows_are_split() {
    // One row at a time also meets rows in which nothing is masked.
    let run = |max_rows| {
        let mut learner = Learner::new(decoder(config(), 5), sgd(), constant(0.1 * SGD_EPSILON));
        let losses = train(&mut learner, 0..4, max_rows);
        (losses, weights(learner.decoder()))
    };
    let (losses, expected) = run(100);
    assert!(distance(&expected, &weights(&decoder(config(), 5))) > 1e-2);
    for max_rows in [1, 2, 3] {
        let (split_losses, split) = run(max_rows);
        assert!(distance(&split, &expected) < 1e-6, "{max_rows}");
        for (a, b) in losses.iter().zip(split_losses) {
            assert!((a - b).abs() < 1e-5, "{a} {b}");
        }
    }
}

#[test]
fn repeated_runs_and_other_thread_counts_give_the_same_bits() {
    let wide = || {
        let config = config();
        let (hidden_size, intermediate_size) = (64, 160);
        afterthought_models::DecoderConfig {
            hidden_size,
            intermediate_size,
            head_dim: 32,
            ..config
        }
    };
    let run = |threads| {
        with_threads(threads, || {
            let mut learner = Learner::new(decoder(wide(), 5), adamw(), constant(1e-3));
            let corpus: Vec<Example> =
                (0..16).map(|i| example(&[BOS, 4 + i % 4], &[5, 6], 12)).collect();
            let examples: Vec<&Example> = corpus.iter().collect();
            for step in 0..3 {
                let options = MdlmOptions::default();
                supervised_step(&mut learner, &examples, &options, SPECIAL, [3, step], 100)
                    .unwrap();
            }
            weights(learner.decoder())
        })
    };
    let one = run(1);
    for threads in [1, 2, 3] {
        assert!(run(threads) == one, "{threads} threads");
    }
}

#[test]
fn a_batch_in_which_nothing_is_masked_is_no_step() {
    let example = example(&[BOS], &[4], 1);
    let mut learner = Learner::new(decoder(config(), 5), adamw(), constant(1e-2));
    let mut skipped = 0;
    for step in 0..20 {
        let options = MdlmOptions::default();
        let (before, taken) = (weights(learner.decoder()), learner.step());
        let masked = mask_batch(&[&example], &options, SPECIAL, 3, step).unwrap().targets.len();
        let update =
            supervised_step(&mut learner, &[&example], &options, SPECIAL, [3, step], 100).unwrap();
        assert_eq!(learner.step() - taken, masked);
        assert_eq!(update.loss == 0.0, masked == 0);
        assert_eq!(weights(learner.decoder()) == before, masked == 0);
        skipped += 1 - masked;
    }
    assert!((4..17).contains(&skipped), "{skipped}");
    let result = supervised_step(&mut learner, &[], &MdlmOptions::default(), SPECIAL, [3, 0], 1);
    assert!(matches!(result, Err(Error::Empty(_))));
}

#[test]
fn an_update_that_would_spoil_the_model_is_not_taken() {
    let mut learner = Learner::new(decoder(config(), 5), adamw(), constant(1e-2));
    train(&mut learner, 0..2, 100);
    let before = weights(learner.decoder());
    let scored = vec![afterthought_training::estimator::Scored { column: 1, token: 4 }];
    let pass = afterthought_training::estimator::Pass { canvas: vec![BOS, MASK], scored };
    for (loss, slope, name) in [
        (f64::NAN, 1.0, "loss"),
        (f64::INFINITY, 1.0, "loss"),
        (1.0, f64::NAN, "gradient norm"),
        (1.0, f64::INFINITY, "gradient norm"),
    ] {
        let result = learner.update(std::slice::from_ref(&pass), 4, |_| (loss, vec![slope], ()));
        let Err(Error::NonFinite { what, step, .. }) = result else { panic!("{result:?}") };
        assert_eq!((what, step), (name, 2));
        assert!(weights(learner.decoder()) == before && learner.step() == 2);
    }
    // And it can go on afterwards.
    assert!(train(&mut learner, 2..3, 100)[0].is_finite());
}

#[test]
fn frozen_weights_stay_and_the_schedule_is_followed() {
    let mut frozen = decoder(config(), 5);
    frozen.set_trainable(&|name| name.contains("layers.1.mlp"));
    let before = weights(&frozen);
    let schedule = Schedule { peak: 1e-2, warmup: 2, total: 4, decay: Decay::Linear };
    let mut learner = Learner::new(frozen, adamw(), schedule);
    let corpus = corpus();
    let examples: Vec<&Example> = corpus.iter().collect();
    let rates: Vec<f64> = (0..5)
        .map(|step| {
            let options = MdlmOptions::default();
            supervised_step(&mut learner, &examples, &options, SPECIAL, [3, step], 100)
                .unwrap()
                .learning_rate
        })
        .collect();
    assert_eq!(rates, [5e-3, 1e-2, 1e-2, 5e-3, 0.0]);
    let after = weights(learner.decoder());
    let changed = before.iter().zip(&after).filter(|(before, after)| before != after).count();
    assert_eq!(changed, 3);
}
