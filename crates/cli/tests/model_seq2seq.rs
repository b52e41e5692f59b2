//! `model info`, `model check` and `model logits` on an encoder-decoder that `transformers` made.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/tests/goldens/t5/gated_untied")
}

/// stdout of a command that ended with `code`, and its stderr.
fn ended(folder: &Path, arguments: &[&str], code: i32) -> (String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_afterthought"))
        .args(arguments)
        .current_dir(folder)
        .env("NO_COLOR", "1")
        .output()
        .unwrap();
    let [stdout, stderr] =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {stdout}{stderr}");
    (stdout, stderr)
}

/// A safetensors file of 32-bit values: its header and the values of a tensor.
fn tensor(path: &Path, name: &str) -> (Value, Vec<[u8; 4]>) {
    let bytes = fs::read(path).unwrap();
    let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let json: Value = serde_json::from_slice(&bytes[8..8 + header]).unwrap();
    let at = |end: usize| json[name]["data_offsets"][end].as_u64().unwrap() as usize;
    let values = bytes[8 + header + at(0)..8 + header + at(1)].as_chunks().0.to_vec();
    (json[name]["shape"].clone(), values)
}

fn rows(kind: &str) -> Vec<Vec<u32>> {
    let path = golden().join("logits.safetensors");
    let ints = |name: &str| -> Vec<u32> {
        tensor(&path, name).1.into_iter().map(u32::from_le_bytes).collect()
    };
    let (ids, lengths) = (ints(&format!("{kind}_ids")), ints(&format!("{kind}_lengths")));
    let rows = ids.chunks(ids.len() / lengths.len()).zip(lengths);
    rows.map(|(ids, length)| ids[..length as usize].to_vec()).collect()
}

fn floats(path: &Path) -> Vec<f32> {
    tensor(path, "logits").1.into_iter().map(f32::from_le_bytes).collect()
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
    ended(folder.path(), &[&arguments[..], &["--precision", "f32"]].concat(), 0);
    let path = folder.path().join("l.st");
    let longest = targets.iter().map(Vec::len).max().unwrap();
    assert_eq!(tensor(&path, "logits").0, json!([3, longest, 43]));
    let found = floats(&path);
    let expected = floats(&golden().join("logits.safetensors"));
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
        let stderr = ended(folder.path(), &arguments, 2).1;
        assert!(stderr.contains(expected), "{stderr}");
    }
}

#[test]
fn info_and_check_describe_both_stacks() {
    let folder = tempfile::tempdir().unwrap();
    let directory = golden();
    let model = directory.to_str().unwrap();
    let info = ended(folder.path(), &["model", "info", model, "--json"], 0).0;
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
    assert!(ended(folder.path(), &["model", "info", model], 0).0.contains("5 heads of 6"));
    // Weights are sound; what is missing is the tokenizer.
    let check = ["model", "check", "--model", model, "--json"];
    let report: Value = serde_json::from_str(&ended(folder.path(), &check, 1).0).unwrap();
    let problems = report["problems"].as_array().unwrap();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].as_str().unwrap().contains("tokenizer.json is missing"));
    assert_eq!((&report["tensors"], &report["weights"]["non_finite"]), (&json!(66), &json!([])));
}
