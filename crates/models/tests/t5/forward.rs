//! What logits depend on, and what they do not.

use crate::tiny::{
    VOCAB, config, largest_difference, logits, model, real_positions, rows, settings, values,
};
use afterthought_models::{Batch, EncoderDecoder, EncoderDecoderConfig, Error};
use burn::tensor::Device;
use std::sync::Arc;

#[test]
fn positions_see_earlier_targets_and_the_whole_source() {
    for (name, config) in settings() {
        let model = model(config, 2);
        let (source, target) = (rows(&[7], 1), rows(&[9], 2));
        let before = logits(&model, &source, &target);
        let mut changed = target.clone();
        changed[0][5] = (changed[0][5] + 1) % VOCAB as u32;
        let after = logits(&model, &source, &changed);
        assert_eq!(before[..5 * VOCAB], after[..5 * VOCAB], "{name}");
        for position in 5..9 {
            let range = position * VOCAB..(position + 1) * VOCAB;
            assert_ne!(before[range.clone()], after[range], "{name} {position}");
        }
        let mut changed = source.clone();
        changed[0][6] = (changed[0][6] + 1) % VOCAB as u32;
        let after = logits(&model, &changed, &target);
        assert_ne!(before[..VOCAB], after[..VOCAB], "{name}");
    }
}

#[test]
fn padding_and_neighbours_change_nothing() {
    for (name, config) in settings() {
        let model = model(config, 2);
        let sources = rows(&[5, 12, 1, 8], 4);
        let targets = rows(&[3, 1, 20, 7], 5);
        let pairs = sources.iter().zip(&targets);
        let alone: Vec<f32> = pairs
            .flat_map(|(s, t)| logits(&model, std::slice::from_ref(s), std::slice::from_ref(t)))
            .collect();
        let together = logits(&model, &sources, &targets);
        assert!(largest_difference(&alone, &together) < 1e-5, "{name}");
        // What stands in the padding, and how much of it there is, does not matter.
        let wide = |rows: &[Vec<u32>], width: usize| {
            let padded = rows.iter().flat_map(|row| {
                row.iter().copied().chain((row.len()..width).map(|at| (at % VOCAB) as u32))
            });
            let lengths: Vec<usize> = rows.iter().map(Vec::len).collect();
            Batch::new(padded.collect::<Vec<_>>(), lengths).unwrap()
        };
        let (sources, targets) = (wide(&sources, 17), wide(&targets, 31));
        let encoded = model.encode(&sources).unwrap();
        let positions = real_positions(&targets);
        let padded = values(model.logits_at(&encoded, &targets, positions).unwrap());
        assert!(largest_difference(&alone, &padded) < 1e-5, "{name}");
    }
}

#[test]
fn targets_are_shifted_behind_the_start_token() {
    let config = EncoderDecoderConfig { decoder_start_token_id: 9, ..config() };
    let model = model(config, 1);
    let batch = model.decoder_inputs(&[vec![4, 5, 1], vec![1], vec![7, 1]]).unwrap();
    assert_eq!(batch.ids()[..], [9, 4, 5, 9, 0, 0, 9, 7, 0]);
    assert_eq!(batch.lengths()[..], [3, 1, 2]);
}

#[test]
fn a_tied_head_is_scaled_by_the_root_of_the_width() {
    // The same weights, once scaled, once not: logits differ by that factor alone.
    let (source, target) = (rows(&[4], 1), rows(&[3], 2));
    let scaled = logits(&model(config(), 3), &source, &target);
    let unscaled = EncoderDecoderConfig { scale_decoder_outputs: false, ..config() };
    let unscaled = logits(&model(unscaled, 3), &source, &target);
    let divided: Vec<f32> = unscaled.iter().map(|logit| logit / 12f32.sqrt()).collect();
    assert!(largest_difference(&scaled, &divided) < 1e-6);
}

#[test]
fn fresh_models_have_logits_of_moderate_size() {
    for (name, config) in settings() {
        let tied_unscaled = config.tie_word_embeddings && !config.scale_decoder_outputs;
        let model = EncoderDecoder::random(config, 7, &Device::flex()).unwrap();
        let logits = logits(&model, &rows(&[6], 1), &rows(&[5], 2));
        let mean_square = logits.iter().map(|l| l * l).sum::<f32>() / logits.len() as f32;
        let most = if tied_unscaled || name == "v1.1" { 100.0 } else { 4.0 };
        assert!(mean_square > 0.05 && mean_square < most, "{name}: {mean_square}");
    }
}

#[test]
fn batches_that_do_not_fit_are_errors() {
    let model = model(config(), 1);
    let batch = |rows: &[Vec<u32>]| Batch::from_rows(rows, 0).unwrap();
    let encoded = model.encode(&batch(&rows(&[3, 4], 1))).unwrap();
    let one: Arc<[u32]> = Arc::new([0]);
    let outside = VOCAB as u32;
    assert!(matches!(
        model.encode(&batch(&[vec![1, 2], vec![3, outside]])),
        Err(Error::TokenId { row: 1, position: 1, .. })
    ));
    let empty = Batch::new([1u32, 1], [1usize, 0]).unwrap();
    assert!(matches!(model.encode(&empty), Err(Error::Batch(problem)) if problem.contains("1")));
    let long = Batch::new(vec![1u32; 5000], [5000usize]).unwrap();
    assert!(matches!(model.encode(&long), Err(Error::Batch(_))));
    for (inputs, positions) in [
        (rows(&[3], 1), one.clone()),
        (rows(&[3, 3], 1), Arc::new([6])),
        (rows(&[3, 3], 1), Arc::new([])),
        (vec![vec![outside], vec![1]], one.clone()),
    ] {
        assert!(model.logits_at(&encoded, &batch(&inputs), positions).is_err(), "{inputs:?}");
    }
    let inputs = batch(&rows(&[3, 3], 1));
    for targets in [vec![1, 2], vec![outside]] {
        let result = model.log_probs_at(&encoded, &inputs, one.clone(), targets.into());
        assert!(matches!(result, Err(Error::Batch(_))));
    }
}

#[test]
fn inconsistent_settings_are_named() {
    let key = |change: fn(&mut EncoderDecoderConfig)| {
        let mut config = config();
        change(&mut config);
        match config.validate() {
            Err(Error::Config { key, .. }) => key,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(key(|c| c.num_decoder_layers = 0), "num_decoder_layers");
    assert_eq!(key(|c| c.num_layers = 1 << 20), "num_layers");
    let buckets = "relative_attention_num_buckets";
    assert_eq!(key(|c| c.relative_attention_num_buckets = 3), buckets);
    let distance = "relative_attention_max_distance";
    assert_eq!(key(|c| c.relative_attention_max_distance = 4), distance);
    assert_eq!(key(|c| c.layer_norm_epsilon = f32::NAN), "layer_norm_epsilon");
    assert_eq!(key(|c| c.decoder_start_token_id = 13), "decoder_start_token_id");
    assert_eq!(key(|c| c.eos_token_ids = vec![1, 13]), "eos_token_id");
}
