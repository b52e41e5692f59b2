//! Packed weights and caches against whole passes of the model.

use crate::tiny::{VOCAB, config, largest_difference, logits, model, rows, settings};
use afterthought_models::Error;
use afterthought_models::inference::{DecoderCache, DecoderRow, EncodedSource, Seq2SeqModel};

fn encode(model: &Seq2SeqModel, sources: &[Vec<u32>]) -> Vec<EncodedSource> {
    let sources: Vec<&[u32]> = sources.iter().map(Vec::as_slice).collect();
    model.encode(&sources).unwrap()
}

/// Logits after the last of `tokens`.
fn step(model: &Seq2SeqModel, rows: &mut [(&mut DecoderCache, &[u32])]) -> Vec<f32> {
    let wanted: Vec<[usize; 1]> = rows.iter().map(|(_, tokens)| [tokens.len() - 1]).collect();
    let mut rows: Vec<DecoderRow<'_>> = (rows.iter_mut().zip(&wanted))
        .map(|((cache, tokens), wanted)| DecoderRow { cache, tokens, wanted })
        .collect();
    let mut logits = vec![f32::NAN; 3];
    model.decode_into(&mut rows, &mut logits).unwrap();
    logits
}

#[test]
fn steps_with_caches_are_whole_passes() {
    for (name, config) in settings() {
        let model = model(config, 2);
        let packed = Seq2SeqModel::from_model(&model).unwrap();
        let (sources, targets) = (rows(&[5, 40, 1, 17], 4), rows(&[21, 1, 35, 9], 5));
        let expected = logits(&model, &sources, &targets);
        let mut sources = encode(&packed, &sources).into_iter();
        let mut caches: Vec<DecoderCache> =
            sources.by_ref().map(|source| packed.new_cache(&source, 35)).collect();
        let starts: Vec<usize> = targets
            .iter()
            .scan(0, |sum, target| Some(std::mem::replace(sum, *sum + target.len())))
            .collect();
        // One token of each row at a time; rows that end leave.
        for position in 0..35 {
            let mut active: Vec<usize> = (0..4).filter(|r| position < targets[*r].len()).collect();
            let mut pass: Vec<(&mut DecoderCache, &[u32])> = (caches.iter_mut().enumerate())
                .filter(|(row, _)| active.contains(row))
                .map(|(row, cache)| (cache, &targets[row][position..position + 1]))
                .collect();
            let got = step(&packed, &mut pass);
            for (row, got) in active.drain(..).zip(got.chunks_exact(VOCAB)) {
                let at = (starts[row] + position) * VOCAB;
                let difference = largest_difference(got, &expected[at..at + VOCAB]);
                assert!(difference < 1e-5, "{name} row {row} position {position}: {difference}");
            }
        }
    }
}

#[test]
fn a_row_alone_is_the_row_in_a_batch() {
    for (name, config) in settings() {
        let packed = Seq2SeqModel::from_model(&model(config, 2)).unwrap();
        let (sources, targets) = (rows(&[20, 3, 9], 4), rows(&[4, 30, 2], 5));
        let run = |which: &[usize]| -> Vec<Vec<f32>> {
            let own: Vec<Vec<u32>> = which.iter().map(|row| sources[*row].clone()).collect();
            let encoded = encode(&packed, &own);
            let mut caches: Vec<DecoderCache> =
                encoded.iter().map(|source| packed.new_cache(source, 64)).collect();
            let mut results = vec![Vec::new(); which.len()];
            for tail in [None, Some([7u32])] {
                let mut pass: Vec<(&mut DecoderCache, &[u32])> = (caches.iter_mut().zip(which))
                    .map(|(cache, row)| (cache, &targets[*row][..]))
                    .map(|(cache, all)| (cache, tail.as_ref().map_or(all, |tail| &tail[..])))
                    .collect();
                let logits = step(&packed, &mut pass);
                for (result, logits) in results.iter_mut().zip(logits.chunks_exact(VOCAB)) {
                    result.extend_from_slice(logits);
                }
            }
            results
        };
        let together = run(&[0, 1, 2]);
        for (row, together) in together.iter().enumerate() {
            assert_eq!(run(&[row])[0], *together, "{name} {row}");
        }
    }
}

#[test]
fn forks_share_the_source_and_go_their_own_ways() {
    let packed = Seq2SeqModel::from_model(&model(config(), 2)).unwrap();
    let source = &encode(&packed, &rows(&[18], 1))[0];
    let prefix = &rows(&[23], 2)[0];
    let mut first = packed.new_cache(source, 40);
    step(&packed, &mut [(&mut first, prefix)]);
    let mut forks = [first.fork(), first.fork()];
    assert!(forks.iter().all(|fork| fork.source().shares(first.source()) && fork.len() == 23));
    let [second, third] = &mut forks;
    let mut pass: Vec<(&mut DecoderCache, &[u32])> =
        vec![(&mut first, &[3]), (second, &[4, 5]), (third, &[3])];
    let together = step(&packed, &mut pass);
    assert_eq!(together[..VOCAB], together[2 * VOCAB..]);
    for (tokens, got) in [(vec![3], &together[..VOCAB]), (vec![4, 5], &together[VOCAB..2 * VOCAB])]
    {
        let mut alone = packed.new_cache(source, 40);
        let whole: Vec<u32> = prefix.iter().copied().chain(tokens).collect();
        assert_eq!(step(&packed, &mut [(&mut alone, &whole)]), got);
    }
}

#[test]
fn rows_that_do_not_fit_are_errors_and_change_nothing() {
    let packed = Seq2SeqModel::from_model(&model(config(), 2)).unwrap();
    let other = Seq2SeqModel::from_model(&model(settings().remove(2).1, 2)).unwrap();
    let source = &encode(&packed, &rows(&[3], 1))[0];
    let mut cache = packed.new_cache(source, 4);
    step(&packed, &mut [(&mut cache, &[1, 2])]);
    let mut logits = Vec::new();
    let mut refused = |model: &Seq2SeqModel, tokens: &[u32], wanted: &[usize]| {
        let row = DecoderRow { cache: &mut cache, tokens, wanted };
        let error = model.decode_into(&mut [row], &mut logits).unwrap_err();
        assert_eq!(cache.len(), 2);
        error
    };
    assert!(matches!(refused(&packed, &[], &[]), Error::CachedRow { row: 0, .. }));
    assert!(matches!(refused(&packed, &[1, 2, 3], &[2]), Error::CachedRow { .. }));
    assert!(matches!(refused(&packed, &[1], &[1]), Error::CachedRow { .. }));
    assert!(matches!(refused(&packed, &[1, 13], &[1]), Error::TokenId { position: 3, .. }));
    assert!(matches!(refused(&other, &[1], &[0]), Error::CachedRow { .. }));
    assert!(matches!(packed.decode_into(&mut [], &mut logits), Err(Error::Batch(_))));
    assert!(matches!(packed.encode(&[]), Err(Error::Batch(_))));
    assert!(matches!(packed.encode(&[&[1], &[]]), Err(Error::Batch(_))));
    assert!(matches!(packed.encode(&[&[1], &[1, 13]]), Err(Error::TokenId { row: 1, .. })));
    assert!(matches!(packed.encode(&[&[1; 5000]]), Err(Error::Batch(_))));
}
