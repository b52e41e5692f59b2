//! `afterthought grade`, run as a program:
//!
//! - published generations give the published counts
//! - several files are one list, in order
//! - stdout is one JSON document or a table, stderr stays empty
//! - wrong requests exit with 2, wrong files with 1, both naming what is wrong
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

fn grade(arguments: &[&str], files: &[PathBuf]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_afterthought"))
        .arg("grade")
        .args(arguments)
        .args(files)
        .env_remove("NO_COLOR")
        .output()
        .unwrap()
}

/// The one JSON document on the stdout of a command that must have worked quietly.
fn document(output: &Output) -> Value {
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(output.status.code(), Some(0));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn stderr(output: &Output) -> String {
    assert!(output.stdout.is_empty(), "an error must leave stdout empty");
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// The published generations of one benchmark in the order of their shards.
fn published(benchmark: &str, shards: usize) -> Option<Vec<PathBuf>> {
    let Some(data) = std::env::var_os("AFTERTHOUGHT_DATA") else {
        eprintln!("skipped: AFTERTHOUGHT_DATA is unset");
        return None;
    };
    let folder = Path::new(&data).join("llada_generations");
    let shard = |i| folder.join(format!("{benchmark}_instruct_128_64_{i}_generations.json"));
    Some((0..shards).map(shard).collect())
}

fn write(folder: &Path, name: &str, content: &str) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, content).unwrap();
    path
}

fn item(written: &str, gold: f64) -> Value {
    json!({"question": "How many?", "generations": written, "ground_truth": gold})
}

#[test]
fn gsm8k_generations_of_llada_under_d1() {
    let Some(files) = published("gsm8k", 10) else {
        return;
    };
    let result = document(&grade(&["--task", "gsm8k", "--profile", "d1", "--json"], &files));
    assert_eq!((&result["correct"], &result["total"]), (&json!(783), &json!(1130)));
    assert_eq!(result["items"].as_array().unwrap().len(), 1130);
    assert!((result["score"].as_f64().unwrap() - 783.0 / 1130.0).abs() < 1e-12);
}

#[test]
fn math_generations_of_llada_under_d1() {
    let Some(files) = published("math500", 2) else {
        return;
    };
    let result = document(&grade(&["--task", "math", "--profile", "d1", "--json"], &files));
    assert_eq!((&result["correct"], &result["total"]), (&json!(130), &json!(500)));
}

#[test]
fn json_has_exactly_the_documented_keys() {
    let folder = tempfile::tempdir().unwrap();
    let content = json!({"generations": [item("\\boxed{18}", 18.0), item("I do not know.", 3.0)]});
    let file = write(folder.path(), "a.json", &content.to_string());
    let result = document(&grade(&["--task", "gsm8k", "--profile", "d1", "--json"], &[file]));
    assert_eq!(
        result,
        json!({
            "task": "gsm8k", "profile": "d1", "total": 2, "correct": 1, "score": 0.5,
            "undecided": 0,
            "items": [
                {"index": 0, "answer": "18", "verdict": "correct", "score": 1.0},
                {"index": 1, "answer": null, "verdict": "no_answer", "score": 0.0},
            ],
        })
    );
}

#[test]
fn several_files_are_one_list_in_the_order_given() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, answer: u32| {
        let content = json!({"generations": [item(&format!("\\boxed{{{answer}}}"), 1.0)]});
        write(folder.path(), name, &content.to_string())
    };
    let files = [file("z.json", 1), file("a.json", 2), file("m.json", 3)];
    let result = document(&grade(&["--task", "gsm8k", "--profile", "d1", "--json"], &files));
    let answers: Vec<_> =
        result["items"].as_array().unwrap().iter().map(|item| item["answer"].clone()).collect();
    assert_eq!(answers, ["1", "2", "3"]);
    assert_eq!((&result["total"], &result["correct"]), (&json!(3), &json!(1)));
}

#[test]
fn sudoku_under_d1_scores_cells() {
    let folder = tempfile::tempdir().unwrap();
    // Eight cells are empty; the answer has the first of them right and the rest wrong.
    let (puzzle, solution) = ("3102200002100320", "3142243142131324");
    let answer = "3142211112111321";
    let right = (0..16).filter(|&i| puzzle.as_bytes()[i] == b'0');
    let empties = right.clone().count();
    let right = right.filter(|&i| answer.as_bytes()[i] == solution.as_bytes()[i]).count();
    assert!(0 < right && right < empties);
    let content = json!({"generations": [
        {"question": puzzle, "ground_truth": solution,
         "generations": format!("<answer>\n{answer}\n</answer>")},
    ]});
    let file = write(folder.path(), "a.json", &content.to_string());
    let result = document(&grade(&["--task", "sudoku", "--profile", "d1", "--json"], &[file]));
    assert_eq!(result["correct"], 0);
    assert_eq!(result["score"], right as f64 / empties as f64);
}

#[test]
fn without_json_stdout_is_a_table() {
    let folder = tempfile::tempdir().unwrap();
    let content = json!({"generations": [item("\\boxed{18}", 18.0), item("\\boxed{4}", 3.0)]});
    let file = write(folder.path(), "a.json", &content.to_string());
    let output = grade(&["--task", "gsm8k", "--profile", "strict"], &[file]);
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stderr.is_empty());
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert!(lines[0].contains("task") && lines[0].contains("undecided"), "{text}");
    assert!(lines[2].contains("gsm8k") && lines[2].contains("50.00 %"), "{text}");
}

#[test]
fn a_missing_file_is_a_usage_error() {
    let missing = PathBuf::from("no/such/file.json");
    let output = grade(&["--task", "gsm8k", "--profile", "d1"], &[missing]);
    assert_eq!(output.status.code(), Some(2));
    let text = stderr(&output);
    assert!(text.starts_with("error: cannot read no/such/file.json\n"), "{text}");
    assert!(text.contains("\nhint: "), "{text}");
}

#[test]
fn unknown_names_and_missing_arguments_are_usage_errors() {
    let file = [PathBuf::from("a.json")];
    for (arguments, expected) in [
        (&["--task", "gsm", "--profile", "d1"][..], "gsm8k"),
        (&["--task", "gsm8k", "--profile", "d2"], "d1"),
        (&["--task", "gsm8k"], "--profile"),
        (&["--task", "gsm8k", "--profile", "d1", "--jsno"], "--json"),
    ] {
        let output = grade(arguments, &file);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let text = stderr(&output);
        assert!(text.starts_with("error:") && text.contains(expected), "{text}");
    }
    assert_eq!(grade(&["--task", "gsm8k", "--profile", "d1"], &[]).status.code(), Some(2));
}

#[test]
fn malformed_files_name_the_file_and_the_item() {
    let folder = tempfile::tempdir().unwrap();
    let good = item("\\boxed{18}", 18.0);
    let bad = json!({"question": "How many?", "generations": 7, "ground_truth": 18});
    for (name, content, expected) in [
        ("broken.json", "{\"generations\": [".to_owned(), "line 1"),
        ("item.json", json!({"generations": [good, bad]}).to_string(), "item 1"),
        (
            "empty.json",
            json!({"generations": [
            {"question": "?", "generations": [], "ground_truth": 1}]})
            .to_string(),
            "item 0",
        ),
        (
            "gold.json",
            json!({"generations": [
            {"question": "?", "generations": "1", "ground_truth": [1]}]})
            .to_string(),
            "item 0",
        ),
    ] {
        let file = write(folder.path(), name, &content);
        let output = grade(&["--task", "gsm8k", "--profile", "d1", "--json"], &[file]);
        assert_eq!(output.status.code(), Some(1), "{name}");
        let text = stderr(&output);
        assert!(text.starts_with("error: ") && text.contains(name), "{text}");
        assert!(text.contains(expected), "{name}: {text}");
    }
}

#[test]
fn a_file_without_generations_is_announced() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), "none.json", "{\"generations\": []}");
    let output = grade(&["--task", "gsm8k", "--profile", "d1", "--json", "--quiet"], &[file]);
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.starts_with("warning: ") && text.contains("none.json"), "{text}");
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(result["total"], 0);
}

#[test]
fn colour_follows_the_flag() {
    let missing = PathBuf::from("no/such/file.json");
    let run = |when| {
        grade(
            &["--task", "gsm8k", "--profile", "d1", "--color", when],
            std::slice::from_ref(&missing),
        )
    };
    assert!(!stderr(&run("auto")).contains('\u{1b}'));
    assert!(stderr(&run("always")).contains('\u{1b}'));
}

#[test]
fn help_and_version_are_results() {
    for flag in ["--help", "--version"] {
        let output = Command::new(env!("CARGO_BIN_EXE_afterthought")).arg(flag).output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        assert!(!output.stdout.is_empty() && output.stderr.is_empty());
    }
}
