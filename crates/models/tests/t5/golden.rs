//! Logits against those of `transformers`: tools/golden_t5.py.

use crate::tiny::{largest_difference, real_positions, values};
use afterthought_models::inference::DecoderRow;
use afterthought_models::{Batch, hub};
use burn::tensor::Device;
use safetensors::tensor::{SafeTensors, TensorView};
use std::path::{Path, PathBuf};

pub(crate) const CASES: [&str; 3] = ["relu_tied", "gated_untied", "buckets"];

pub(crate) fn folder(case: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/t5").join(case)
}

struct Golden {
    sources: Vec<Vec<u32>>,
    targets: Vec<Vec<u32>>,
    logits: Vec<f32>,
}

fn numbers(view: &TensorView<'_>) -> Vec<[u8; 4]> {
    view.data().chunks_exact(4).map(|bytes| bytes.try_into().unwrap()).collect()
}

fn golden(case: &str) -> Golden {
    let bytes = std::fs::read(folder(case).join("logits.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let ints = |name: &str| -> Vec<u32> {
        let view = file.tensor(name).unwrap();
        numbers(&view).into_iter().map(u32::from_le_bytes).collect()
    };
    let rows = |kind: &str| -> Vec<Vec<u32>> {
        let (ids, lengths) = (ints(&format!("{kind}_ids")), ints(&format!("{kind}_lengths")));
        let width = ids.len() / lengths.len();
        let rows = ids.chunks(width).zip(lengths);
        rows.map(|(ids, length)| ids[..length as usize].to_vec()).collect()
    };
    let logits = numbers(&file.tensor("logits").unwrap());
    Golden {
        sources: rows("source"),
        targets: rows("target"),
        logits: logits.into_iter().map(f32::from_le_bytes).collect(),
    }
}

#[test]
fn logits_are_those_of_transformers() {
    for case in CASES {
        let golden = golden(case);
        assert!(golden.sources.iter().chain(&golden.targets).any(|row| row.len() > 130));
        let model = hub::load_encoder_decoder(&folder(case), &Device::flex()).unwrap();
        let sources = Batch::from_rows(&golden.sources, 0).unwrap();
        let targets = Batch::from_rows(&golden.targets, 0).unwrap();
        let positions = real_positions(&targets);
        let encoded = model.encode(&sources).unwrap();
        let logits = values(model.logits_at(&encoded, &targets, positions.clone()).unwrap());
        let difference = largest_difference(&logits, &golden.logits);
        eprintln!("{case}: largest difference of {} logits {difference:e}", logits.len());
        assert!(difference < 1e-4, "{case}: {difference}");

        let vocab = model.config().vocab_size;
        let next: Vec<u32> = (0..positions.len()).map(|at| (at * 5 % vocab) as u32).collect();
        let log_probs =
            values(model.log_probs_at(&encoded, &targets, positions, next.clone().into()).unwrap());
        let expected = golden.logits.chunks_exact(vocab).zip(&next).map(|(logits, next)| {
            let sum: f64 = logits.iter().map(|logit| f64::from(*logit).exp()).sum();
            (f64::from(logits[*next as usize]) - sum.ln()) as f32
        });
        assert!(largest_difference(&log_probs, &expected.collect::<Vec<_>>()) < 1e-4, "{case}");
    }
}

#[test]
fn packed_weights_and_caches_give_the_same_logits() {
    for case in CASES {
        let golden = golden(case);
        let model = hub::load_seq2seq(&folder(case)).unwrap();
        let sources: Vec<&[u32]> = golden.sources.iter().map(Vec::as_slice).collect();
        let sources = model.encode(&sources).unwrap();
        let vocab = model.config().vocab_size;
        let mut logits = Vec::new();
        // A whole target at once, and in two parts.
        for split in [0, 3] {
            let mut caches: Vec<_> =
                sources.iter().map(|source| model.new_cache(source, 200)).collect();
            let mut rest = &golden.logits[..];
            for (cache, target) in caches.iter_mut().zip(&golden.targets) {
                let split = split.min(target.len() - 1);
                for tokens in [&target[..split], &target[split..]] {
                    if tokens.is_empty() {
                        continue;
                    }
                    let wanted: Vec<usize> = (0..tokens.len()).collect();
                    let row = DecoderRow { cache: &mut *cache, tokens, wanted: &wanted };
                    model.decode_into(&mut [row], &mut logits).unwrap();
                    let (expected, others) = rest.split_at(tokens.len() * vocab);
                    rest = others;
                    let difference = largest_difference(&logits, expected);
                    assert!(difference < 1e-4, "{case}: {difference}");
                }
            }
            assert!(rest.is_empty());
        }
    }
}
