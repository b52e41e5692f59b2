//! What a decoder's logits depend on, and what they do not.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod tiny;

use afterthought_kernels::{AttentionSpec, HeadLayout, RotaryTable, attention};
use afterthought_models::{Batch, Decoder, DecoderConfig, Error};
use burn::tensor::{Device, Tensor, TensorData};
use std::sync::Arc;
use tiny::{MASK, VOCAB, config, decoder, real_positions, rows, settings, values};

fn logits(decoder: &Decoder, rows: &[Vec<u32>]) -> Vec<f32> {
    let batch = Batch::from_rows(rows, 0).unwrap();
    let positions = real_positions(&batch);
    values(decoder.logits_at(&batch, positions).unwrap())
}

fn assert_close(what: &str, got: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(got.len(), expected.len(), "{what}");
    for (index, (g, e)) in got.iter().zip(expected).enumerate() {
        assert!((g - e).abs() <= tolerance, "{what}: [{index}] is {g}, expected {e}");
    }
}

#[test]
fn bidirectional_positions_see_the_last_token_and_causal_ones_do_not() {
    for (name, config) in settings() {
        let decoder = decoder(config.clone(), 2);
        let row = rows(&[9], 1).remove(0);
        let mut changed = row.clone();
        changed[8] = (row[8] + 1) % 9;
        let (before, after) = (logits(&decoder, &[row]), logits(&decoder, &[changed]));
        for position in 0..8 {
            let range = position * VOCAB..(position + 1) * VOCAB;
            let equal = before[range.clone()] == after[range];
            assert_eq!(equal, config.causal, "{name}, position {position}");
        }
        assert_ne!(before[8 * VOCAB..], after[8 * VOCAB..], "{name}");
    }
}

#[test]
fn positions_matter() {
    for (name, config) in settings() {
        let decoder = decoder(config, 2);
        // Two equal tokens among others: only the rotary angles tell them apart.
        let logits = logits(&decoder, &[vec![4, 7, 4, 2]]);
        let difference = (0..VOCAB).map(|i| (logits[i] - logits[2 * VOCAB + i]).abs());
        assert!(difference.fold(0.0, f32::max) > 1e-3, "{name}");
    }
}

#[test]
fn padding_and_neighbours_change_nothing() {
    for (name, config) in settings() {
        let decoder = decoder(config, 2);
        let rows = rows(&[5, 12, 1, 8], 4);
        let alone: Vec<f32> =
            rows.iter().flat_map(|row| logits(&decoder, std::slice::from_ref(row))).collect();
        for pad in [0, MASK] {
            let batch = Batch::from_rows(&rows, pad).unwrap();
            let positions = real_positions(&batch);
            let together = decoder.logits_at(&batch, positions.clone()).unwrap();
            assert_close(name, &values(together), &alone, 1e-5);

            let targets: Arc<[u32]> = (0..positions.len() as u32).map(|i| i % 10).collect();
            let together = decoder.log_probs_at(&batch, positions, targets.clone()).unwrap();
            let mut rest = &targets[..];
            let mut alone = Vec::new();
            for row in &rows {
                let (own, later) = rest.split_at(row.len());
                rest = later;
                let batch = Batch::new(row.as_slice(), [row.len()]).unwrap();
                let positions = real_positions(&batch);
                alone.extend(values(decoder.log_probs_at(&batch, positions, own.into()).unwrap()));
            }
            assert_close(name, &values(together), &alone, 1e-5);
        }
        // Wider than its longest row.
        let (mut ids, row) = (vec![3; 20], &rows[1]);
        ids[..12].copy_from_slice(row);
        let wide = Batch::new(ids, [12]).unwrap();
        let positions = real_positions(&wide);
        let wide = values(decoder.logits_at(&wide, positions).unwrap());
        assert_close(name, &wide, &logits(&decoder, std::slice::from_ref(row)), 1e-5);
    }
}

#[test]
fn an_empty_row_does_not_disturb_the_others() {
    let decoder = decoder(config(), 2);
    let row = rows(&[6], 1).remove(0);
    let together = logits(&decoder, &[Vec::new(), row.clone()]);
    assert_close("beside an empty row", &together, &logits(&decoder, &[row]), 1e-5);
}

#[test]
fn logits_of_some_positions_are_rows_of_all_logits() {
    for (name, config) in settings() {
        let decoder = decoder(config, 2);
        let batch = Batch::from_rows(&rows(&[6, 9, 9], 5), 0).unwrap();
        let count = batch.ids().len() as u32;
        let all = values(decoder.logits_at(&batch, (0..count).collect()).unwrap());
        // Unordered and repeated, as asked for.
        let some = [13, 2, 26, 2, 9, 0];
        let logits = decoder.logits_at(&batch, some.into()).unwrap();
        assert_eq!(logits.dims(), [some.len(), VOCAB]);
        let expected: Vec<f32> = some
            .iter()
            .flat_map(|position| all[*position as usize * VOCAB..][..VOCAB].to_vec())
            .collect();
        assert_close(name, &values(logits), &expected, 1e-5);
    }
}

#[test]
fn log_probs_are_the_log_softmax_without_the_mask_token() {
    for with_mask in [true, false] {
        for (name, config) in settings() {
            let mask_token_id = with_mask.then_some(MASK);
            let decoder = decoder(DecoderConfig { mask_token_id, ..config }, 2);
            let batch = Batch::from_rows(&rows(&[5, 3], 6), 0).unwrap();
            let allowed = if with_mask { VOCAB - 1 } else { VOCAB };
            let mut sums = Vec::new();
            for position in real_positions(&batch).iter() {
                let logits = values(decoder.logits_at(&batch, [*position].into()).unwrap());
                let total: f64 = logits[..allowed].iter().map(|l| f64::from(*l).exp()).sum();
                let expected: Vec<f32> =
                    logits[..allowed].iter().map(|l| (f64::from(*l) - total.ln()) as f32).collect();
                let targets: Arc<[u32]> = (0..allowed as u32).collect();
                let positions: Arc<[u32]> = vec![*position; allowed].into();
                let got = values(decoder.log_probs_at(&batch, positions, targets).unwrap());
                assert_close(name, &got, &expected, 1e-5);
                sums.push(got.iter().map(|l| f64::from(*l).exp()).sum::<f64>());
            }
            assert!(sums.iter().all(|sum| (sum - 1.0).abs() < 1e-5), "{name}: {sums:?}");
        }
    }
}

fn problem<T>(result: Result<T, Error>) -> String {
    match result {
        Err(Error::Batch(problem)) => problem,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("no error"),
    }
}

#[test]
fn batches_that_do_not_fit_the_model_are_errors() {
    let decoder = decoder(config(), 2);
    let vocab_size = VOCAB as u32;
    let batch = Batch::from_rows(&[vec![1, 2], vec![1, 2, vocab_size]], 0).unwrap();
    for result in [
        decoder.logits_at(&batch, [0].into()).map(|_| ()),
        decoder.log_probs_at(&batch, [0].into(), [0].into()).map(|_| ()),
        decoder.hidden_at(&batch, [0].into()).map(|_| ()),
    ] {
        let error = result.unwrap_err();
        assert!(
            matches!(error, Error::TokenId { row: 1, position: 2, id: 11, vocab_size: 11 }),
            "{error:?}"
        );
    }
    // An id in the padding is checked as well: it goes through the embedding.
    let padded = Batch::from_rows(&[vec![1, 2], vec![1]], vocab_size).unwrap();
    assert!(matches!(
        decoder.logits_at(&padded, [0].into()),
        Err(Error::TokenId { row: 1, position: 1, .. })
    ));

    let longest = Batch::from_rows(&[vec![1; 32]], 0).unwrap();
    assert!(decoder.logits_at(&longest, [31].into()).is_ok());
    let too_long = Batch::from_rows(&[vec![1; 33]], 0).unwrap();
    let found = problem(decoder.logits_at(&too_long, [0].into()));
    assert!(found.contains("33") && found.contains("32"), "{found}");

    let batch = Batch::from_rows(&[vec![1, 2, 3]], 0).unwrap();
    problem(decoder.logits_at(&batch, [].into()));
    problem(decoder.logits_at(&batch, [0, 3].into()));
    problem(decoder.log_probs_at(&batch, [].into(), [].into()));
    problem(decoder.log_probs_at(&batch, [0, 1].into(), [4].into()));
    problem(decoder.log_probs_at(&batch, [0].into(), [MASK].into()));
    problem(decoder.log_probs_at(&batch, [0].into(), [vocab_size].into()));
}

#[test]
fn malformed_batches_are_errors() {
    problem(Batch::from_rows(&[], 0));
    problem(Batch::from_rows(&[vec![], vec![]], 0));
    problem(Batch::new([1, 2, 3], []));
    problem(Batch::new([], [0]));
    problem(Batch::new([1, 2, 3], [1, 2]));
    problem(Batch::new([1, 2, 3, 4], [2, 3]));
    let batch = Batch::from_rows(&[vec![5], vec![6, 7, 8]], 9).unwrap();
    assert_eq!(batch.ids()[..], [5, 9, 9, 6, 7, 8]);
    assert_eq!((batch.lengths()[..].to_vec(), batch.width(), batch.rows()), (vec![1, 3], 3, 2));
}

#[test]
fn settings_that_contradict_each_other_are_named() {
    let key = |change: fn(&mut DecoderConfig)| {
        let mut config = config();
        change(&mut config);
        match Decoder::random(config, 0, &Device::flex()) {
            Err(Error::Config { key, .. }) => key,
            other => panic!("{:?}", other.map(|_| ())),
        }
    };
    assert_eq!(key(|c| c.vocab_size = 0), "vocab_size");
    assert_eq!(key(|c| c.num_hidden_layers = 0), "num_hidden_layers");
    assert_eq!(key(|c| c.num_key_value_heads = 3), "num_key_value_heads");
    assert_eq!(key(|c| c.head_dim = 5), "head_dim");
    assert_eq!(key(|c| c.rms_norm_eps = f32::NAN), "rms_norm_eps");
    assert_eq!(key(|c| c.rope_theta = -1.0), "rope_theta");
    assert_eq!(key(|c| c.initializer_range = f64::INFINITY), "initializer_range");
    assert_eq!(key(|c| c.mask_token_id = Some(11)), "mask_token_id");
    assert_eq!(key(|c| c.eos_token_id = Some(11)), "eos_token_id");
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    // Wide enough that products are shared out among threads.
    let config = DecoderConfig {
        hidden_size: 96,
        intermediate_size: 200,
        head_dim: 24,
        num_key_value_heads: 2,
        ..config()
    };
    let decoder = decoder(config, 2);
    let batch = Batch::from_rows(&rows(&[32, 30, 7, 32, 19, 32, 32, 32], 8), 0).unwrap();
    let positions = real_positions(&batch);
    let targets: Arc<[u32]> = (0..positions.len() as u32).map(|i| i % 10).collect();
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let logits = values(decoder.logits_at(&batch, positions.clone()).unwrap());
            let mut tracked = decoder.tracked();
            let log_probs =
                tracked.log_probs_at(&batch, positions.clone(), targets.clone()).unwrap();
            let gradients = log_probs.sum().backward();
            let mut read = Read { gradients, found: Vec::new() };
            tracked.visit(&mut read);
            (logits, read.found)
        })
    };
    let one = run(1);
    assert_eq!(one.1.len(), 21);
    for threads in [2, 3] {
        assert!(run(threads) == one, "{threads} threads");
    }
}

struct Read {
    gradients: burn::tensor::Gradients,
    found: Vec<Vec<f32>>,
}

impl afterthought_models::ParameterVisitor for Read {
    fn visit<const D: usize>(&mut self, parameter: &mut afterthought_models::Parameter<D>) {
        self.found.push(values(parameter.value.grad(&self.gradients).unwrap()));
    }
}

#[test]
fn attention_without_angles_is_equivariant_to_permutations() {
    let (width, layout) = (9, HeadLayout { heads: 4, kv_heads: 2, head_dim: 6 });
    let order = [4, 0, 8, 2, 7, 1, 3, 6, 5];
    let permuted = |rows: &[f32]| -> Vec<f32> {
        let columns = rows.len() / width;
        order.iter().flat_map(|row| rows[row * columns..][..columns].to_vec()).collect()
    };
    let run = |qkv: Vec<f32>, rotary: bool, causal: bool| {
        let data = TensorData::new(qkv, [width, layout.width()]);
        let qkv = Tensor::<2>::from_data(data, &Device::flex());
        let table = RotaryTable::standard(100.0, layout.head_dim, width);
        let rotary = rotary.then(|| Arc::new(table).into());
        let (scale, lengths) = (layout.scale(), [width].into());
        let spec = AttentionSpec { layout, causal, window: None, scale, rotary, lengths };
        values(attention(qkv, spec))
    };
    let count = width * layout.width();
    let qkv: Vec<f32> = (0..count).map(|i| ((i * 7919 + 1) as f32 * 0.618).sin()).collect();
    let difference = |rotary, causal| {
        let expected = permuted(&run(qkv.clone(), rotary, causal));
        let got = run(permuted(&qkv), rotary, causal);
        got.iter().zip(&expected).map(|(g, e)| (g - e).abs()).fold(0.0, f32::max)
    };
    assert!(difference(false, false) < 1e-6);
    // It is the angles and the causal mask that break the symmetry.
    assert!(difference(true, false) > 1e-2);
    assert!(difference(false, true) > 1e-2);
}
