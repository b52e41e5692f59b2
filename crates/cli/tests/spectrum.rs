//! `model spectrum`, run as a program.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod program;

use std::fs;
use std::path::Path;

use program::{document, ends, new_model, refused, tensor};
use tempfile::TempDir;

const QUERIES: &str = "model.layers.0.self_attn.q_proj.weight";

fn workplace() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    new_model(folder.path(), "model", "0123456789", &[]);
    folder
}

fn values(folder: &Path, name: &str) -> Vec<f32> {
    let (bytes, _) = tensor(&folder.join("model/model.safetensors"), name);
    bytes.chunks_exact(4).map(|value| f32::from_le_bytes(value.try_into().unwrap())).collect()
}

/// Replaces the values of the queries' weight.
fn replace(folder: &Path, value: impl Fn(usize) -> f32) {
    let path = folder.join("model/model.safetensors");
    let (mut file, (old, _)) = (fs::read(&path).unwrap(), tensor(&path, QUERIES));
    let place = file.windows(old.len()).position(|bytes| bytes == old).unwrap();
    let new = (0..old.len() / 4).flat_map(|i| value(i).to_le_bytes());
    file.splice(place..place + old.len(), new);
    fs::write(path, file).unwrap();
}

#[test]
fn every_layer_has_its_singular_values() {
    let folder = workplace();
    let found = document(folder.path(), &["model", "spectrum", "--model", "model"]);
    let tensors = found["tensors"].as_array().unwrap();
    // Four of the attention, three of the feed-forward; neither embedding nor head.
    assert_eq!(tensors.len(), 7);
    for tensor in tensors {
        assert!(tensor["residual"].as_f64().unwrap() < 1e-12, "{tensor}");
        assert_eq!(tensor["rank"], 32);
        let weight = values(folder.path(), tensor["tensor"].as_str().unwrap());
        let square: f64 = weight.iter().map(|value| f64::from(*value).powi(2)).sum();
        let singular = tensor["singular_values"].as_array().unwrap();
        let sum: f64 = singular.iter().map(|value| value.as_f64().unwrap().powi(2)).sum();
        assert_eq!(singular.len(), 32);
        assert!((sum / square - 1.0).abs() < 1e-12, "{tensor}");
    }
    let (table, _) = ends(folder.path(), &["model", "spectrum", "--model", "model"], 0);
    assert!(table.contains(QUERIES) && table.contains("48 x 32") && table.contains("32 of 32"));
}

/// A layer as wide as the vocabulary is a layer all the same.
#[test]
fn a_vocabulary_as_large_as_the_width_hides_nothing() {
    let folder = tempfile::tempdir().unwrap();
    // 27 characters and five special tokens.
    new_model(folder.path(), "model", "abcdefghijklmnopqrstuvwxyz ", &[]);
    let info = document(folder.path(), &["model", "info", "model"]);
    assert_eq!(info["config"]["vocab_size"], info["config"]["hidden_size"]);
    let found = document(folder.path(), &["model", "spectrum", "--model", "model"]);
    assert_eq!(found["tensors"].as_array().unwrap().len(), 7);
}

/// A constant matrix is a product of two vectors of ones.
#[test]
fn a_rank_of_one_shows() {
    let folder = workplace();
    replace(folder.path(), |_| 0.5);
    let arguments = ["model", "spectrum", "--model", "model", "--tensor", QUERIES];
    let found = document(folder.path(), &arguments);
    let [tensor] = found["tensors"].as_array().unwrap().as_slice() else { panic!("{found}") };
    assert_eq!((&tensor["rank"], &tensor["rank_of_90_percent"]), (&1.into(), &1.into()));
    assert!((tensor["singular_values"][0].as_f64().unwrap() - 16.0).abs() < 1e-12);
    assert!((tensor["stable_rank"].as_f64().unwrap() - 1.0).abs() < 1e-12);
}

/// Row 26: a weight without decomposition is named, and the others are shown all the same.
#[test]
fn row_26_a_weight_that_cannot_be_decomposed_is_named() {
    let folder = workplace();
    replace(folder.path(), |i| if i == 37 { f32::NAN } else { 0.1 });
    let (table, error) = ends(folder.path(), &["model", "spectrum", "--model", "model"], 1);
    let problem = format!("problem: {QUERIES}: the value in row 1, column 5 is NaN");
    assert!(table.contains(&problem) && table.contains("v_proj"), "{table}");
    assert!(error.contains("1 weight(s) of model cannot be decomposed"), "{error}");
}

#[test]
fn a_tensor_that_is_not_there_is_answered_with_the_nearest() {
    let folder = workplace();
    let ask = |name| {
        refused(folder.path(), &["model", "spectrum", "--model", "model", "--tensor", name], 2)
    };
    let error = ask("model.layers.0.self_attn.q_prj.weight");
    assert!(error.contains(&format!("did you mean {QUERIES}?")), "{error}");
    let error = ask("model.norm.weight");
    assert!(error.contains("model.norm.weight has shape [32], expected a matrix"), "{error}");
}
