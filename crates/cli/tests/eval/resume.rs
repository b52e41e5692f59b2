//! Files that are continued, and files that are not.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::program::{document, ends, refused};
use crate::workplace::{start, workplace};
use serde_json::Value;

const EVAL: [&str; 7] = ["eval", "--task", "gsm8k", "--data", "test.jsonl", "--model", "ar"];
const SAMPLING: [&str; 6] = ["--temperature", "1", "--gen-length", "12", "--batch", "2"];

#[test]
fn a_file_cut_anywhere_continues_to_the_same_file() {
    let folder = workplace();
    let whole = folder.path().join("whole.jsonl");
    let eval = |out, more: &[&'static str]| [&EVAL[..], &SAMPLING, &["--out", out], more].concat();
    let first = document(folder.path(), &eval("whole.jsonl", &[]));
    let bytes = fs::read(&whole).unwrap();
    let ends_of_lines: Vec<usize> =
        (0..bytes.len()).filter(|at| bytes[*at] == b'\n').map(|at| at + 1).collect();
    assert_eq!(ends_of_lines.len(), 13);
    let cuts = [0, 10, ends_of_lines[0], ends_of_lines[0] + 5, ends_of_lines[3], bytes.len() - 1];
    for cut in cuts {
        fs::write(folder.path().join("cut.jsonl"), &bytes[..cut]).unwrap();
        let arguments = [&eval("cut.jsonl", &["--resume"])[..], &["--json"]].concat();
        let (stdout, stderr) = ends(folder.path(), &arguments, 0);
        assert_eq!(fs::read(folder.path().join("cut.jsonl")).unwrap(), bytes, "cut at {cut}");
        let result: Value = serde_json::from_str(&stdout).unwrap();
        assert_eq!(result["profiles"], first["profiles"]);
        let whole_line = cut == 0 || ends_of_lines.contains(&cut);
        assert_eq!(stderr.contains("the last line is cut short"), !whole_line, "{stderr}");
        let kept = ends_of_lines.iter().filter(|end| **end <= cut).count().saturating_sub(1);
        assert_eq!(result["resumed"], kept);
    }
    // Complete: the result once more, nothing decoded, its own exit code.
    let (stdout, stderr) = ends(folder.path(), &eval("whole.jsonl", &["--resume"]), 4);
    assert!(stdout.contains("strict") && stderr.contains("already holds the finished result"));
    assert_eq!(fs::read(&whole).unwrap(), bytes);
    // A longer list goes on where the shorter one ended.
    let short = eval("short.jsonl", &["--limit", "5"]);
    ends(folder.path(), &short, 0);
    ends(folder.path(), &eval("short.jsonl", &["--resume"]), 0);
    assert_eq!(fs::read(folder.path().join("short.jsonl")).unwrap(), bytes);
    let (_, stderr) = ends(folder.path(), &[&short[..], &["--resume"]].concat(), 4);
    assert!(
        stderr.contains("7 completions of items or samples that were not asked for"),
        "{stderr}"
    );
}

/// A command that takes seconds.
const SLOW: [&str; 8] =
    ["--temperature", "1", "--gen-length", "400", "--batch", "1", "--samples", "8"];

/// Waits until a file has `lines` lines, at most a minute.
fn wait_for(path: &std::path::Path, lines: usize) {
    let begun = Instant::now();
    while fs::read_to_string(path).unwrap_or_default().lines().count() < lines {
        assert!(begun.elapsed() < Duration::from_secs(60), "{} stays short", path.display());
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn killed_and_interrupted_runs_continue_to_the_undisturbed_file() {
    let folder = workplace();
    let eval = |out| [&EVAL[..], &SLOW, &["--out", out]].concat();
    ends(folder.path(), &eval("whole.jsonl"), 0);
    let whole = fs::read(folder.path().join("whole.jsonl")).unwrap();
    let out = folder.path().join("stopped.jsonl");

    let mut killed = start(folder.path(), &eval("stopped.jsonl"));
    wait_for(&out, 3);
    killed.kill().unwrap();
    killed.wait().unwrap();
    let after_kill = fs::read(&out).unwrap();
    assert!(after_kill.len() < whole.len(), "the run was over before it was killed");

    let resume = [&eval("stopped.jsonl")[..], &["--resume"]].concat();
    let mut interrupted = start(folder.path(), &resume);
    wait_for(&out, after_kill.iter().filter(|byte| **byte == b'\n').count() + 3);
    let sent = Command::new("kill").args(["-INT", &interrupted.id().to_string()]).status();
    assert!(sent.unwrap().success());
    assert_eq!(interrupted.wait().unwrap().code(), Some(3));
    let after_interrupt = fs::read(&out).unwrap();
    assert!(after_interrupt.len() < whole.len() && after_interrupt.len() > after_kill.len());
    assert_eq!(after_interrupt.last(), Some(&b'\n'));

    ends(folder.path(), &resume, 0);
    assert_eq!(fs::read(&out).unwrap(), whole);
}

#[test]
fn another_request_is_refused_by_what_differs() {
    let folder = workplace();
    let eval = |more: &[&'static str]| {
        [&EVAL[..], &["--gen-length", "4", "--out", "o.jsonl"], more].concat()
    };
    ends(folder.path(), &eval(&[]), 0);
    let bytes = fs::read(folder.path().join("o.jsonl")).unwrap();
    let error = refused(folder.path(), &eval(&[]), 2);
    assert!(error.contains("o.jsonl exists already") && error.contains("--resume"), "{error}");
    for (flags, difference) in [
        (&["--temperature", "1"][..], "sampling.temperature is 1.0 and was 0.0"),
        (&["--seed", "7"], "sampling.seed is 7 and was 42"),
        (&["--prefill", "a"], "prompt.prefill is \"a\" and was \"\""),
        (&["--shots", "1", "--shots-data", "train.jsonl"], "prompt.style is \"few-shot\""),
    ] {
        let eval = eval(&[&["--resume"][..], flags].concat());
        let (_, stderr) = ends(folder.path(), &eval, 2);
        assert!(stderr.contains(difference), "{stderr}");
    }
    let size = ["--hidden", "32", "--layers", "1", "--intermediate", "48", "--causal"];
    let new = ["model", "new", "--out", "other", "--tokenizer", "ar/tokenizer.json", "--seed", "1"];
    ends(folder.path(), &[&new[..], &size].concat(), 0);
    fs::rename(folder.path().join("ar"), folder.path().join("old")).unwrap();
    fs::rename(folder.path().join("other"), folder.path().join("ar")).unwrap();
    let error = refused(folder.path(), &eval(&["--resume"]), 2);
    assert!(error.contains("belongs to another request: model is"), "{error}");
    fs::remove_dir_all(folder.path().join("ar")).unwrap();
    fs::rename(folder.path().join("old"), folder.path().join("ar")).unwrap();
    let data = folder.path().join("test.jsonl");
    let text = fs::read_to_string(&data).unwrap();
    fs::write(&data, text.replace("row 3", "line 3")).unwrap();
    let error = refused(folder.path(), &eval(&["--resume"]), 2);
    assert!(error.contains("data.blake3 is"), "{error}");
    assert_eq!(fs::read(folder.path().join("o.jsonl")).unwrap(), bytes);
}

#[test]
fn files_that_cannot_be_continued_are_left_alone() {
    let folder = workplace();
    let out = folder.path().join("o.jsonl");
    let eval = [&EVAL[..], &["--gen-length", "4", "--out", "o.jsonl", "--resume"]].concat();
    fs::write(&out, "{\"index\": 0}\n").unwrap();
    let error = refused(folder.path(), &eval, 2);
    assert!(error.contains("o.jsonl:1: not the header of an eval file"), "{error}");
    fs::remove_file(&out).unwrap();
    ends(folder.path(), &eval, 0);
    let text = fs::read_to_string(&out).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    fs::write(&out, format!("{}\n{}\nnonsense\n", lines[0], lines[1])).unwrap();
    assert!(refused(folder.path(), &eval, 1).contains("o.jsonl:3: not a result"));
    fs::write(&out, format!("{}\n{}\n{}\n", lines[0], lines[1], lines[1])).unwrap();
    assert!(refused(folder.path(), &eval, 1).contains("o.jsonl:3: sample 0 of item"));
    // A verdict that this version would not give counts for nothing, and that is said.
    let other =
        lines[1].replace("\"no_answer\"", "\"correct\"").replace("\"wrong\"", "\"correct\"");
    fs::write(&out, text.replace(lines[1], &other)).unwrap();
    let (stdout, stderr) = ends(folder.path(), &[&eval[..], &["--json"]].concat(), 4);
    assert!(stderr.contains("1 completions have other grades"), "{stderr}");
    let result: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(result["resumed"], 12);
    // Two commands cannot write one file.
    let holder = fs::File::open(&out).unwrap();
    holder.lock().unwrap();
    assert!(refused(folder.path(), &eval, 2).contains("is being written by another command"));
}
