//! `model check`, `model export` and `model logits`, run as a program on directories that we make
//! and on one that `transformers` made.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod program;

use std::fs;

use program::{document_of, ends, golden, logits, new_model};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A directory with a causal model `model`.
fn workplace() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    new_model(folder.path(), "model", "abcdefgh", &["--causal", "--layers", "2"]);
    folder
}

#[test]
fn a_sound_model_passes_and_a_damaged_one_says_where() {
    let folder = workplace();
    let check = ["model", "check", "--model", "model"];
    let report = document_of(folder.path(), &check, 0);
    assert_eq!((&report["ok"], &report["problems"]), (&json!(true), &json!([])));
    assert_eq!(report["files"], 1);
    assert!(ends(folder.path(), &check, 0).0.contains("all checks passed"));
    // One weight that is no number.
    let path = folder.path().join("model/model.safetensors");
    let whole = fs::read(&path).unwrap();
    let mut bytes = whole.clone();
    let end = bytes.len();
    bytes[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    fs::write(&path, &bytes).unwrap();
    let report = document_of(folder.path(), &check, 1);
    let problem = report["problems"][0].as_str().unwrap();
    assert!(problem.contains("has 1 NaN and 0 infinite"), "{problem}");
    assert_eq!(report["weights"]["non_finite"][0]["nan"], 1);
    // A file that ends too early, and settings that ask for other tensors.
    fs::write(&path, &whole[..end - 1]).unwrap();
    let report = document_of(folder.path(), &check, 1);
    assert!(report["problems"][0].as_str().unwrap().contains("bytes of data"), "{report}");
    fs::write(&path, &whole).unwrap();
    let config = folder.path().join("model/config.json");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3"))
        .unwrap();
    let report = document_of(folder.path(), &check, 1);
    assert_eq!(report["problems"].as_array().unwrap().len(), 9, "{report}");
    // A tokenizer of another model.
    fs::write(&config, text.replace("\"eos_token_id\": ", "\"eos_token_id\": 1, \"x\": ")).unwrap();
    fs::remove_file(folder.path().join("model/tokenizer.json")).unwrap();
    let report = document_of(folder.path(), &check, 1);
    assert!(report["problems"][0].as_str().unwrap().contains("tokenizer.json"), "{report}");
}

#[test]
fn an_export_in_shards_is_the_same_model() {
    let folder = workplace();
    let provenance = json!({"base": "a base", "data": "some data", "results": ["sudoku 12 %"]});
    fs::write(folder.path().join("model/afterthought.json"), provenance.to_string()).unwrap();
    fs::write(folder.path().join("model/notes.txt"), "mine").unwrap();
    let export = ["model", "export", "--model", "model", "--out", "out", "--shard-size", "8KB"];
    let (_, stderr) = ends(folder.path(), &export, 0);
    assert!(stderr.contains("left out: notes.txt"), "{stderr}");
    let out = folder.path().join("out");
    assert!(out.join("model.safetensors.index.json").is_file());
    assert!(out.join("tokenizer.json").is_file());
    let card = fs::read_to_string(out.join("README.md")).unwrap();
    for expected in ["base_model: a base", "some data", "- sudoku 12 %", "Not recorded"] {
        assert!(card.contains(expected), "{card}");
    }
    fs::write(folder.path().join("ids.json"), "[[3, 4, 5], [6]]").unwrap();
    let of = |model: &str| {
        let arguments = ["model", "logits", "--model", model, "--ids", "ids.json", "--out", "l.st"];
        ends(folder.path(), &[&arguments[..], &["--precision", "f32"]].concat(), 0);
        logits(&folder.path().join("l.st"))
    };
    let (values, shape) = of("model");
    assert_eq!(of("out"), (values.clone(), shape.clone()));
    assert_eq!(shape[..2], [2, 3]);
    // The second row has one token; the rest is padding.
    let row = 3 * shape[2];
    assert!(values[row..row + shape[2]].iter().any(|value| *value != 0.0));
    assert!(values[row + shape[2]..].iter().all(|value| *value == 0.0));
    // In half precision, and not over what exists.
    let half = ["model", "export", "--model", "out", "--out", "half", "--dtype", "bf16"];
    let report = document_of(folder.path(), &half, 0);
    assert_eq!(report["files"], 1);
    let config = fs::read_to_string(folder.path().join("half/config.json")).unwrap();
    assert!(config.contains("bfloat16"), "{config}");
    let (half_values, _) = of("half");
    let worst = values.iter().zip(&half_values).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst > 0.0 && worst < 0.1, "{worst}");
    let (stdout, stderr) = ends(folder.path(), &half, 2);
    assert!(stdout.is_empty() && stderr.contains("half exists"), "{stderr}");
}

#[test]
fn ids_that_do_not_fit_are_refused_before_the_model_runs() {
    let folder = workplace();
    for (ids, expected) in [
        ("[]", "has no row"),
        ("[[1], []]", "row 1 is empty"),
        ("[[1, 2], [3, 9999]]", "row 1, position 1: token id 9999"),
        ("[[1, -2]]", "not a list of lists"),
        ("{\"ids\": [[1]], \"extra\": 1}", "not a list of lists"),
        ("{\"ids\": [[1]], \"decoder_ids\": [[1]]}", "no encoder"),
        ("[[1], [2]", "not a list of lists"),
    ] {
        fs::write(folder.path().join("ids.json"), ids).unwrap();
        let arguments =
            ["model", "logits", "--model", "model", "--ids", "ids.json", "--out", "l.st"];
        let (stdout, stderr) = ends(folder.path(), &arguments, 2);
        assert!(stdout.is_empty() && stderr.contains(expected), "{ids}: {stderr}");
        assert!(!folder.path().join("l.st").exists());
    }
    let long = format!("[[{}]]", vec!["1"; 100_000].join(","));
    fs::write(folder.path().join("ids.json"), long).unwrap();
    let arguments = ["model", "logits", "--model", "model", "--ids", "ids.json", "--out", "l.st"];
    assert!(ends(folder.path(), &arguments, 2).1.contains("100000 ids, the model"));
}

#[test]
fn logits_are_those_of_transformers() {
    let folder = tempfile::tempdir().unwrap();
    // `logits` of the golden file hold the first row's predictions first.
    let directory = golden("models/tests/goldens/families/qwen2-window-tied");
    let bytes = fs::read(directory.join("golden.safetensors")).unwrap();
    let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let json: Value = serde_json::from_slice(&bytes[8..8 + header]).unwrap();
    let data = |name: &str| {
        let at = |end: usize| json[name]["data_offsets"][end].as_u64().unwrap() as usize;
        &bytes[8 + header + at(0)..8 + header + at(1)]
    };
    let ids = data("ids").as_chunks::<8>().0.iter().map(|id| i64::from_le_bytes(*id));
    let first = i64::from_le_bytes(data("lengths")[..8].try_into().unwrap()) as usize;
    let row: Vec<i64> = ids.take(first).collect();
    fs::write(folder.path().join("ids.json"), json!({ "ids": [row] }).to_string()).unwrap();
    let model = directory.to_str().unwrap();
    let arguments = ["model", "logits", "--model", model, "--ids", "ids.json", "--out", "l.st"];
    ends(folder.path(), &[&arguments[..], &["--precision", "f32"]].concat(), 0);
    let (values, shape) = logits(&folder.path().join("l.st"));
    assert_eq!(shape, [1, first, 29]);
    let expected = data("logits").as_chunks::<4>().0.iter().map(|value| f32::from_le_bytes(*value));
    let worst = values.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst < 1e-4, "{worst}");
}
