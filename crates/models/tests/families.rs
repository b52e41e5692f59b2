//! Every family against `transformers`: `tools/golden_models.py` says how the goldens were made.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use afterthought_models::inference::{CachedRow, InferenceModel};
use afterthought_models::{Batch, Decoder, hub};
use burn::tensor::Device;
use safetensors::tensor::SafeTensors;
use std::fs;
use std::path::{Path, PathBuf};

/// Largest difference that an order of summation may make in f32.
const TOLERANCE: f32 = 1e-4;

/// What `transformers` gave.
struct Golden {
    rows: Vec<Vec<u32>>,
    /// Predictions for the tokens, row after row: of a batch padded on the right, and on the left.
    logits: Vec<Vec<f32>>,
}

fn golden(directory: &Path) -> Golden {
    let bytes = fs::read(directory.join("golden.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let integers = |name: &str| -> Vec<i64> {
        let data = tensors.tensor(name).unwrap().data();
        data.as_chunks::<8>().0.iter().map(|chunk| i64::from_le_bytes(*chunk)).collect()
    };
    let floats = |name: &str| -> Option<Vec<f32>> {
        let data = tensors.tensor(name).ok()?.data();
        Some(data.as_chunks::<4>().0.iter().map(|chunk| f32::from_le_bytes(*chunk)).collect())
    };
    let (ids, lengths) = (integers("ids"), integers("lengths"));
    let width = ids.len() / lengths.len();
    let rows = ids.chunks(width).zip(lengths);
    let rows = rows.map(|(ids, length)| ids[..length as usize].iter().map(|id| *id as u32));
    Golden {
        rows: rows.map(Iterator::collect).collect(),
        logits: [floats("logits"), floats("left")].into_iter().flatten().collect(),
    }
}

fn cases() -> Vec<(String, PathBuf)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/families");
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let mut cases: Vec<_> =
        entries.map(|entry| (entry.file_name().into_string().unwrap(), entry.path())).collect();
    cases.sort();
    assert_eq!(cases.len(), 24);
    cases
}

fn assert_close(what: &str, found: &[f32], expected: &Golden) {
    for expected in &expected.logits {
        assert_eq!(found.len(), expected.len(), "{what}");
        let pairs = found.iter().zip(expected);
        let worst = pairs.map(|(f, e)| (f - e).abs()).fold(0.0, f32::max);
        assert!(worst < TOLERANCE && found.iter().all(|f| f.is_finite()), "{what}: {worst}");
    }
}

fn of_decoder(decoder: &Decoder, rows: &[Vec<u32>]) -> Vec<f32> {
    let batch = Batch::from_rows(rows, 0).unwrap();
    let positions = rows.iter().enumerate().flat_map(|(index, row)| {
        let start = index * batch.width();
        (start..start + row.len()).map(|position| position as u32)
    });
    let positions = positions.collect();
    decoder.logits_at(&batch, positions).unwrap().into_data().try_to_vec().unwrap()
}

#[test]
fn the_decoder_gives_the_logits_of_transformers() {
    for (name, directory) in cases() {
        let golden = golden(&directory);
        let decoder = hub::load(&directory, &Device::flex()).unwrap();
        assert_close(&name, &of_decoder(&decoder, &golden.rows), &golden);
    }
}

#[test]
fn the_inference_model_gives_them_too() {
    for (name, directory) in cases() {
        let golden = golden(&directory);
        let model = hub::load_inference(&directory).unwrap();
        let wanted: Vec<Vec<usize>> =
            golden.rows.iter().map(|row| (0..row.len()).collect()).collect();
        let sequences: Vec<(&[u32], &[usize])> =
            golden.rows.iter().zip(&wanted).map(|(row, wanted)| (&row[..], &wanted[..])).collect();
        assert_close(&name, &model.logits(&sequences).unwrap(), &golden);
        if name != "llama-dynamic" && model.config().causal {
            let logits = golden.rows.iter().flat_map(|row| one_by_one(&model, row));
            assert_close(&name, &logits.collect::<Vec<_>>(), &golden);
        }
    }
}

/// The tokens of a row in small passes.
fn one_by_one(model: &InferenceModel, row: &[u32]) -> Vec<f32> {
    let mut cache = model.new_cache(row.len());
    let mut logits = Vec::new();
    for tokens in row.chunks(3) {
        let start = cache.len();
        let wanted: Vec<usize> = (0..tokens.len()).collect();
        let visible = start + tokens.len();
        let pass = CachedRow { cache: &mut cache, start, tokens, visible, wanted: &wanted };
        logits.extend(model.forward(&mut [pass]).unwrap());
    }
    logits
}
