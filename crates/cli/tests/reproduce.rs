//! `reproduce d1 --preset smoke`: interrupted, continued, complete.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

fn command(out: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_afterthought"));
    command.args(["reproduce", "d1", "--preset", "smoke", "--json", "--out"]).arg(out);
    command
}

fn run(out: &Path) -> Output {
    command(out).stdin(Stdio::null()).output().unwrap()
}

/// Waits for a file that a stage leaves.
fn wait_for(path: &Path) {
    let begun = Instant::now();
    while !path.exists() {
        assert!(begun.elapsed() < Duration::from_secs(600), "{} never came", path.display());
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn an_interrupted_run_continues_and_a_finished_one_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("run");

    let mut child = command(&out).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for(&out.join("stages/base.json"));
    let base = std::fs::read(out.join("models/base/model.safetensors")).unwrap();
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(3), "interrupted after a finished stage");

    let finished = run(&out);
    let stderr = String::from_utf8_lossy(&finished.stderr);
    assert_eq!(finished.status.code(), Some(0), "{stderr}");
    assert!(stderr.contains("done earlier"), "{stderr}");
    assert_eq!(std::fs::read(out.join("models/base/model.safetensors")).unwrap(), base);

    // Exactly one JSON document, the one on disk.
    let printed: serde_json::Value = serde_json::from_slice(&finished.stdout).unwrap();
    let stored: serde_json::Value =
        serde_json::from_slice(&std::fs::read(out.join("report.json")).unwrap()).unwrap();
    assert_eq!(printed, stored);
    assert_eq!(stored["schema"], "afterthought.report/1");
    for key in ["command", "seed", "preset", "machine", "elapsed_s", "tables", "claims", "warnings"]
    {
        assert!(!stored[key].is_null(), "{key}");
    }
    for table in ["accuracy_strict", "accuracy_d1"] {
        let rows = stored["tables"][table]["rows"].as_array().unwrap();
        assert_eq!(rows.len(), 4);
        // Two tasks, three lengths and their mean, and the row's name.
        assert!(rows.iter().all(|row| row.as_array().unwrap().len() == 9));
    }
    let html = std::fs::read_to_string(out.join("report.html")).unwrap();
    assert!(!html.contains("http://") && !html.contains("https://"), "no external request");
    for file in ["samples.jsonl", "metrics.jsonl"] {
        let text = std::fs::read_to_string(out.join(file)).unwrap();
        assert!(text.lines().all(|l| serde_json::from_str::<serde_json::Value>(l).is_ok()));
    }

    let again = run(&out);
    assert_eq!(again.status.code(), Some(4));
    assert!(again.stdout.is_empty());
}

#[test]
fn a_directory_of_something_else_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("thesis.txt"), "precious").unwrap();
    let output = run(directory.path());
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("hint:"));
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
}
