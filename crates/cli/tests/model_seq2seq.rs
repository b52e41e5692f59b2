//! `model info`, `model check` and `model logits` on an encoder-decoder that `transformers` made.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod program;

use std::fs;
use std::path::PathBuf;

use program::{ends, logits, tensor};
use serde_json::{Value, json};

fn golden() -> PathBuf {
    program::golden("models/tests/goldens/t5/gated_untied")
}

fn rows(kind: &str) -> Vec<Vec<u32>> {
    let path = golden().join("logits.safetensors");
    let ints = |name: &str| -> Vec<u32> {
        let bytes = tensor(&path, name).0;
        bytes.as_chunks::<4>().0.iter().map(|value| u32::from_le_bytes(*value)).collect()
    };
    let (ids, lengths) = (ints(&format!("{kind}_ids")), ints(&format!("{kind}_lengths")));
    let rows = ids.chunks(ids.len() / lengths.len()).zip(lengths);
    rows.map(|(ids, length)| ids[..length as usize].to_vec()).collect()
}

#[test]
fn logits_are_those_of_transformers() {
    let folder = tempfile::tempdir().unwrap();
    let (sources, targets) = (rows("source"), rows("target"));
    let ids = json!({ "ids": sources, "decoder_ids": targets }).to_string();
    fs::write(folder.path().join("ids.json"), ids).unwrap();
    let directory = golden();
    let model = directory.to_str().unwrap();
    let arguments = ["model", "logits", "--model", model, "--ids", "ids.json", "--out", "l.st"];
    ends(folder.path(), &[&arguments[..], &["--precision", "f32"]].concat(), 0);
    let path = folder.path().join("l.st");
    let longest = targets.iter().map(Vec::len).max().unwrap();
    let (found, shape) = logits(&path);
    assert_eq!(shape, [3, longest, 43]);
    let (expected, _) = logits(&golden().join("logits.safetensors"));
    let mut rest = &expected[..];
    for (target, row) in targets.iter().zip(found.chunks_exact(longest * 43)) {
        let (own, others) = rest.split_at(target.len() * 43);
        rest = others;
        let worst = row.iter().zip(own).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 1e-4, "{worst}");
        assert!(row[own.len()..].iter().all(|value| *value == 0.0));
    }
}

#[test]
fn rows_that_do_not_fit_are_refused_before_the_model_runs() {
    let folder = tempfile::tempdir().unwrap();
    let directory = golden();
    let model = directory.to_str().unwrap();
    for (ids, expected) in [
        (json!([[1, 2]]), "no decoder_ids"),
        (json!({"ids": [[1], [2]], "decoder_ids": [[0]]}), "2 rows of ids and 1 of decoder_ids"),
        (json!({"ids": [[1, 43]], "decoder_ids": [[0]]}), "token id 43"),
        (json!({"ids": [[1]], "decoder_ids": [[0, 99]]}), "token id 99"),
        (json!({"ids": [[1]], "decoder_ids": [[]]}), "row 0 is empty"),
    ] {
        fs::write(folder.path().join("ids.json"), ids.to_string()).unwrap();
        let arguments = ["model", "logits", "--model", model, "--ids", "ids.json", "--out", "l.st"];
        let stderr = ends(folder.path(), &arguments, 2).1;
        assert!(stderr.contains(expected), "{stderr}");
    }
}

#[test]
fn info_and_check_describe_both_stacks() {
    let folder = tempfile::tempdir().unwrap();
    let directory = golden();
    let model = directory.to_str().unwrap();
    let info = ends(folder.path(), &["model", "info", model, "--json"], 0).0;
    let info: Value = serde_json::from_str(&info).unwrap();
    assert_eq!(info["kind"], "encoder-decoder");
    assert_eq!(
        (&info["config"]["num_layers"], &info["config"]["num_decoder_layers"]),
        (&json!(2), &json!(3))
    );
    let parts = &info["parameters"];
    assert_eq!((&parts["embedding"], &parts["head"]), (&json!(43 * 16), &json!(43 * 16)));
    // 30 = 5 heads of 6.
    let attention = 4 * 16 * 30 + 16;
    let feed_forward = 3 * 16 * 20 + 16;
    let bias_and_norm = 32 * 5 + 16;
    assert_eq!(parts["encoder"], json!(2 * (attention + feed_forward) + bias_and_norm));
    assert_eq!(parts["decoder"], json!(3 * (2 * attention + feed_forward) + bias_and_norm));
    assert!(ends(folder.path(), &["model", "info", model], 0).0.contains("5 heads of 6"));
    // Weights are sound; what is missing is the tokenizer.
    let check = ["model", "check", "--model", model, "--json"];
    let report: Value = serde_json::from_str(&ends(folder.path(), &check, 1).0).unwrap();
    let problems = report["problems"].as_array().unwrap();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].as_str().unwrap().contains("has no tokenizer.json"));
    assert_eq!((&report["tensors"], &report["weights"]["non_finite"]), (&json!(66), &json!([])));
}
