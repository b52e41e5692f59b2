//! A folder of problems and models made for the purpose.

use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::program::{command, new_model};

/// Every character of the prompts below.
const ALPHABET: &str = "abcdefghijklmnopqrstuvwxyzQAP0123456789 .,:?=+*/<>#\n";

/// The program at work, its output thrown away.
pub(crate) fn start(folder: &Path, arguments: &[&str]) -> Child {
    command(folder, arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Folder with word problems (`test.jsonl`, `train.jsonl`), a causal model `ar` and a masked-diffusion
/// model `dm` that know their characters.
pub(crate) fn workplace() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("test.jsonl"), rows(3, 12)).unwrap();
    fs::write(folder.path().join("train.jsonl"), rows(40, 20)).unwrap();
    new_model(folder.path(), "ar", ALPHABET, &["--causal"]);
    new_model(folder.path(), "dm", ALPHABET, &[]);
    folder
}

/// Sums as rows of GSM8K's layout. Results have one digit, so that a random model hits some.
pub(crate) fn rows(from: usize, count: usize) -> String {
    let row = |i: usize| {
        let (a, b) = (i % 4, i % 5);
        let sum = a + b;
        json!({
            "question": format!("what is {a} plus {b} in row {i}?"),
            "answer": format!("{a}+{b}=<<{a}+{b}={sum}>>{sum}\n#### {sum}"),
        })
    };
    (from..from + count).map(|i| row(i).to_string() + "\n").collect()
}

/// The lines of a results file behind its header.
pub(crate) fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().skip(1).map(|line| serde_json::from_str(line).unwrap()).collect()
}
