//! Cached passes with packed weights against the decoder's full passes.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod tiny;

use afterthought_models::inference::{CachedRow, InferenceModel, KvCache};
use afterthought_models::{Batch, Decoder, DecoderConfig, Error};
use burn::tensor::Device;
use tiny::{VOCAB, decoder, real_positions, rows, settings, values};

/// All settings with room for long rows, and one that is wide enough for threads and whole tiles.
fn models() -> Vec<(String, Decoder, InferenceModel)> {
    let wide = DecoderConfig {
        hidden_size: 96,
        intermediate_size: 200,
        head_dim: 24,
        num_attention_heads: 6,
        num_key_value_heads: 2,
        causal: true,
        ..tiny::config()
    };
    settings()
        .into_iter()
        .chain([
            ("wide", wide.clone()),
            ("wide, both ways", DecoderConfig { causal: false, ..wide }),
        ])
        .map(|(name, config)| {
            let config = DecoderConfig { max_position_embeddings: 200, ..config };
            let decoder = decoder(config, 2);
            let model = InferenceModel::from_decoder(&decoder).unwrap();
            (name.to_owned(), decoder, model)
        })
        .collect()
}

fn full(decoder: &Decoder, row: &[u32]) -> Vec<f32> {
    let batch = Batch::new(row, [row.len()]).unwrap();
    values(decoder.logits_at(&batch, real_positions(&batch)).unwrap())
}

fn all(tokens: &[u32]) -> Vec<usize> {
    (0..tokens.len()).collect()
}

/// Logits of every one of `tokens`, which see what is cached and each other.
fn append(model: &InferenceModel, cache: &mut KvCache, tokens: &[u32]) -> Vec<f32> {
    let start = cache.len();
    at(model, cache, start, tokens)
}

fn at(model: &InferenceModel, cache: &mut KvCache, start: usize, tokens: &[u32]) -> Vec<f32> {
    let visible = cache.len().max(start + tokens.len());
    let wanted = all(tokens);
    model.forward(&mut [CachedRow { cache, start, tokens, visible, wanted: &wanted }]).unwrap()
}

fn assert_close(what: &str, got: &[f32], expected: &[f32]) {
    assert_eq!(got.len(), expected.len(), "{what}");
    for (index, (g, e)) in got.iter().zip(expected).enumerate() {
        assert!((g - e).abs() <= 1e-4, "{what}: [{index}] is {g}, expected {e}");
    }
}

#[test]
fn a_pass_over_whole_sequences_is_the_decoders() {
    for (name, decoder, model) in models() {
        let rows = rows(&[1, 7, 33, 127], 3);
        let mut expected = Vec::new();
        for row in &rows {
            let logits = full(&decoder, row);
            let mut cache = model.new_cache(row.len());
            assert_close(&name, &append(&model, &mut cache, row), &logits);
            assert_eq!(cache.len(), row.len());
            expected.extend(logits);
        }
        let wanted: Vec<Vec<usize>> = rows.iter().map(|row| all(row)).collect();
        let sequences: Vec<(&[u32], &[usize])> =
            rows.iter().zip(&wanted).map(|(row, wanted)| (&row[..], &wanted[..])).collect();
        // Twice, as buffers are used again.
        for _ in 0..2 {
            assert_close(&name, &model.logits(&sequences).unwrap(), &expected);
        }
    }
}

#[test]
fn tokens_one_by_one_or_in_chunks_give_the_same() {
    for (name, decoder, model) in models() {
        if !model.config().causal {
            continue;
        }
        let row = rows(&[127], 4).remove(0);
        let expected = full(&decoder, &row);
        let mut whole = model.new_cache(127);
        let once = append(&model, &mut whole, &row);
        for chunk in [1, 5, 16, 50] {
            let mut cache = model.new_cache(127);
            let logits: Vec<f32> =
                row.chunks(chunk).flat_map(|tokens| append(&model, &mut cache, tokens)).collect();
            assert_close(&format!("{name}, chunks of {chunk}"), &logits, &expected);
            assert_eq!(logits, once, "{name}, chunks of {chunk}");
        }
        // Going back and on with other tokens.
        whole.truncate(40);
        let other = rows(&[20], 5).remove(0);
        let row = [&row[..40], &other].concat();
        let logits = append(&model, &mut whole, &other);
        assert_close(&name, &logits, &full(&decoder, &row)[40 * VOCAB..]);
    }
}

#[test]
fn bidirectional_blocks_attend_to_what_is_cached() {
    for (name, decoder, model) in models() {
        if model.config().causal || model.config().shifted_logits {
            continue;
        }
        let row = rows(&[70], 4).remove(0);
        let expected = full(&decoder, &row);
        let mut cache = model.new_cache(80);
        append(&model, &mut cache, &row);
        // Keys and values of the block come out as they were, so its logits do too.
        for (start, end) in [(0, 70), (5, 9), (16, 32), (60, 70), (69, 70)] {
            let logits = at(&model, &mut cache, start, &row[start..end]);
            assert_close(&name, &logits, &expected[start * VOCAB..end * VOCAB]);
        }
        // Everything replaced.
        let other = rows(&[70], 6).remove(0);
        assert_close(&name, &at(&model, &mut cache, 0, &other), &full(&decoder, &other));
        // A cache that ends before what it holds: the suffix is not seen.
        cache.truncate(33);
        let logits = at(&model, &mut cache, 0, &other[..33]);
        assert_close(&name, &logits, &full(&decoder, &other[..33]));
    }
}

#[test]
fn shifted_logits_come_from_the_token_before() {
    let (_, config) = settings().into_iter().find(|(_, config)| config.shifted_logits).unwrap();
    let decoder = decoder(config.clone(), 2);
    let model = InferenceModel::from_decoder(&decoder).unwrap();
    // The same weights without the shift say what comes out where.
    let plain = DecoderConfig { shifted_logits: false, ..config };
    let plain = full(&tiny::decoder(plain, 2), &rows(&[30], 4)[0]);
    let row = rows(&[30], 4).remove(0);
    let logits = full(&decoder, &row);
    assert_eq!(logits[..VOCAB], plain[..VOCAB]);
    assert_eq!(logits[VOCAB..], plain[..29 * VOCAB]);
    let mut cache = model.new_cache(30);
    assert_close("whole", &append(&model, &mut cache, &row), &logits);
    // A block with the token before it.
    let wanted: Vec<usize> = (1..9).collect();
    let (cache, tokens) = (&mut cache, &row[11..20]);
    let mut block = [CachedRow { cache, start: 11, tokens, visible: 30, wanted: &wanted }];
    let found = model.forward(&mut block).unwrap();
    assert_close("block", &found, &logits[12 * VOCAB..20 * VOCAB]);
    let mut alone = [CachedRow { wanted: &[0], ..block.into_iter().next().unwrap() }];
    let error = model.forward(&mut alone).unwrap_err().to_string();
    assert!(error.contains("token before"), "{error}");
}

#[test]
fn frequencies_that_depend_on_the_length_are_those_of_each_row() {
    let (_, config) = settings().into_iter().find(|(name, _)| *name == "dynamic").unwrap();
    for causal in [false, true] {
        let config = DecoderConfig { causal, ..config.clone() };
        let decoder = decoder(config, 2);
        let model = InferenceModel::from_decoder(&decoder).unwrap();
        // The window is 32.
        let rows = rows(&[70, 20, 40, 33], 3);
        let alone: Vec<f32> = rows.iter().flat_map(|row| full(&decoder, row)).collect();
        let batch = Batch::from_rows(&rows, 0).unwrap();
        let together = values(decoder.logits_at(&batch, real_positions(&batch)).unwrap());
        assert_close("batch", &together, &alone);
        let wanted: Vec<Vec<usize>> = rows.iter().map(|row| all(row)).collect();
        let sequences: Vec<(&[u32], &[usize])> =
            rows.iter().zip(&wanted).map(|(row, wanted)| (&row[..], &wanted[..])).collect();
        assert_close("inference", &model.logits(&sequences).unwrap(), &alone);
    }
}

#[test]
fn a_changed_block_sees_stale_entries_of_one_layer_exactly() {
    // With one layer, keys and values depend on their own token alone: nothing is ever stale.
    let config = DecoderConfig { num_hidden_layers: 1, ..tiny::config() };
    let decoder = decoder(config, 3);
    let model = InferenceModel::from_decoder(&decoder).unwrap();
    let mut row = rows(&[30], 1).remove(0);
    let mut cache = model.new_cache(30);
    append(&model, &mut cache, &row);
    let mut fork = cache.fork();
    for (start, new) in [(17, 3), (2, 5), (28, 1)] {
        row[start..start + 2].fill(new);
        let logits = at(&model, &mut fork, start, &row[start..start + 2]);
        let range = start * VOCAB..(start + 2) * VOCAB;
        assert_close("one layer", &logits, &full(&decoder, &row)[range]);
    }
}

#[test]
fn forks_go_their_own_ways() {
    for (name, decoder, model) in models() {
        if !model.config().causal {
            continue;
        }
        for prompt_len in [3, 16, 37, 64] {
            let prompt = rows(&[prompt_len], 7).remove(0);
            let tails = rows(&[5, 20, 1, 33], 8);
            let mut cache = model.new_cache(120);
            append(&model, &mut cache, &prompt);
            let mut forks: Vec<KvCache> = tails.iter().map(|_| cache.fork()).collect();
            // A fork of a fork, and the first one goes on too.
            let mut second = forks[1].fork();
            append(&model, &mut cache, &tails[0]);
            let mut third = cache.fork();
            let check = |fork: &mut KvCache, before: &[u32], tail: &[u32]| {
                let logits = append(&model, fork, tail);
                let row = [before, tail].concat();
                let expected = &full(&decoder, &row)[before.len() * VOCAB..];
                assert_close(&format!("{name}, prompt of {prompt_len}"), &logits, expected);
            };
            for (fork, tail) in forks.iter_mut().zip(&tails) {
                check(fork, &prompt, tail);
            }
            check(&mut second, &prompt, &tails[3]);
            let longer = [&prompt[..], &tails[0]].concat();
            check(&mut third, &longer, &tails[1]);
            // Back into the shared part.
            third.truncate(2);
            check(&mut third, &prompt[..2], &tails[2]);
            check(&mut cache, &longer, &tails[3]);
        }
    }
}

/// A step of decoding: rows of one token that share a prompt, some that do not, and a prompt.
fn ragged(model: &InferenceModel, only: Option<usize>) -> Vec<Vec<f32>> {
    let prompts = rows(&[37, 20, 50], 9);
    let mut shared = model.new_cache(150);
    append(model, &mut shared, &prompts[0]);
    let mut caches: Vec<KvCache> = (0..15).map(|_| shared.fork()).collect();
    for (index, cache) in caches.iter_mut().enumerate() {
        append(model, cache, &rows(&[index + 1], 10 + index as u64)[0]);
    }
    let mut other = model.new_cache(60);
    append(model, &mut other, &prompts[1]);
    caches.push(other);
    caches.push(model.new_cache(50));
    caches.push(shared);
    let mut tokens: Vec<Vec<u32>> = (0..18).map(|index| vec![index % 9]).collect();
    tokens[16] = prompts[2].clone();
    let wanted: Vec<Vec<usize>> = tokens.iter().map(|tokens| vec![tokens.len() - 1]).collect();
    let mut passes: Vec<CachedRow<'_>> = (caches.iter_mut().zip(&tokens).zip(&wanted))
        .enumerate()
        .filter(|(index, _)| only.is_none_or(|only| *index == only))
        .map(|(_, ((cache, tokens), wanted))| {
            let start = cache.len();
            CachedRow { visible: start + tokens.len(), cache, start, tokens, wanted }
        })
        .collect();
    let logits = model.forward(&mut passes).unwrap();
    logits.chunks_exact(VOCAB).map(<[f32]>::to_vec).collect()
}

#[test]
fn a_row_does_not_depend_on_the_others_nor_on_threads() {
    for (name, _, model) in models() {
        if model.config().shifted_logits {
            // Its passes of one token would be asked for what the token before gives.
            continue;
        }
        let run = |threads, only| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| ragged(&model, only))
        };
        let together = run(2, None);
        assert_eq!(run(1, None), together, "{name}");
        assert_eq!(run(3, None), together, "{name}");
        for (index, logits) in together.iter().enumerate() {
            assert_eq!(&run(1, Some(index))[0], logits, "{name}, row {index}");
        }
    }
}

#[test]
fn rows_that_do_not_fit_are_errors_and_change_nothing() {
    let config = DecoderConfig { causal: false, ..tiny::config() };
    let model = InferenceModel::from_decoder(&decoder(config, 2)).unwrap();
    let mut cache = model.new_cache(10);
    append(&model, &mut cache, &[1, 2, 3, 4]);
    let mut problem = |start, tokens: &[u32], visible, wanted: &[usize]| {
        let cache = &mut cache;
        let error = model.forward(&mut [CachedRow { cache, start, tokens, visible, wanted }]);
        error.unwrap_err().to_string()
    };
    assert!(problem(4, &[], 4, &[]).contains("no token"));
    assert!(problem(5, &[1], 6, &[0]).contains("ends at 4"));
    assert!(problem(4, &[1; 7], 11, &[0]).contains("10 positions"));
    assert!(problem(4, &[1], 4, &[0]).contains("expected 5 to 5"));
    assert!(problem(0, &[1], 5, &[0]).contains("expected 1 to 4"));
    assert!(problem(4, &[1], 5, &[1]).contains("token 1"));
    assert!(problem(4, &[1, 11], 6, &[0]).contains("position 5: token id 11"));
    assert_eq!(cache.len(), 4);
    assert!(matches!(model.forward(&mut []), Err(Error::Batch(_))));
    let mut long = model.new_cache(40);
    let tokens = [1; 33];
    let row = CachedRow { cache: &mut long, start: 0, tokens: &tokens, visible: 33, wanted: &[] };
    assert!(model.forward(&mut [row]).unwrap_err().to_string().contains("32 positions"));
    assert!(model.logits(&[]).is_err() && model.logits(&[(&[], &[])]).is_err());
    // No logits at all may be wanted: the pass fills the cache.
    let row = CachedRow { cache: &mut cache, start: 4, tokens: &[5], visible: 5, wanted: &[] };
    assert!(model.forward(&mut [row]).unwrap().is_empty());
    assert_eq!(cache.len(), 5);
    // A cache of another model.
    let other = DecoderConfig { num_hidden_layers: 1, ..tiny::config() };
    let other = Decoder::random(other, 1, &Device::flex()).unwrap();
    let other = InferenceModel::from_decoder(&other).unwrap();
    let row = CachedRow { cache: &mut cache, start: 5, tokens: &[5], visible: 6, wanted: &[] };
    assert!(other.forward(&mut [row]).unwrap_err().to_string().contains("another shape"));
}
