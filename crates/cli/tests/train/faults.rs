//! Rows of the fault table; each test names its row.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::workplace::{Workplace, metrics};

/// Row 12: a row longer than the recipe allows is an error with its line, or is left out and counted.
#[test]
fn row_12_rows_that_are_too_long_are_named_or_counted() {
    let workplace = Workplace::new();
    let long = format!("{{\"prompt\": \"{}=\", \"completion\": \"1\"}}\n", "1+".repeat(30));
    let rows = fs::read_to_string(workplace.path("rows.jsonl")).unwrap() + &long;
    workplace.write("rows.jsonl", &rows);
    let short = ["sft.toml", "--set", "data.max_length=40"];
    let (_, error) = workplace.train(&[&short[..], &["--out", "a"]].concat(), 2);
    assert!(error.contains("rows.jsonl:91:1: 64 tokens, `data.max_length` is 40"), "{error}");
    assert!(!workplace.path("a").exists(), "nothing begins before the data is fine");
    let drop = [&short[..], &["--set", "data.on_long=drop", "--out", "b"]].concat();
    let (_, notes) = workplace.train(&drop, 0);
    assert!(notes.contains("1 rows that are too long left out"), "{notes}");
}

/// Row 13: nothing to learn from is an error before anything begins.
#[test]
fn row_13_an_empty_data_set_is_an_error() {
    let workplace = Workplace::new();
    workplace.write("rows.jsonl", "\n\n");
    let (_, error) = workplace.train(&["sft.toml", "--out", "a"], 2);
    assert!(error.contains("rows.jsonl is empty"), "{error}");
    workplace.write("rows.jsonl", "{\"prompt\": \"1=\"}\n");
    let (_, error) = workplace.train(&["sft.toml", "--out", "a"], 2);
    assert!(error.contains("rows.jsonl:1:1: the row has a prompt and no completion"), "{error}");
    // Fewer rows than a batch are no error: batches go across epochs.
    workplace.write("rows.jsonl", "{\"prompt\": \"1=\", \"completion\": \"1\"}\n");
    workplace.train(&["sft.toml", "--out", "a"], 0);
}

/// Row 11: every bad line is named at once.
#[test]
fn row_11_every_bad_line_is_named() {
    let workplace = Workplace::new();
    let good = "{\"prompt\": \"1=\", \"completion\": \"1\"}\n";
    workplace.write("rows.jsonl", &format!("{good}{{\"prompt\"\n{good}{{\"prompt\": 3}}\n"));
    let (_, error) = workplace.train(&["mdlm.toml", "--out", "a"], 2);
    assert!(error.contains("rows.jsonl has 2 rows that cannot be used"), "{error}");
    assert!(error.contains("rows.jsonl:2:") && error.contains("rows.jsonl:4:"), "{error}");
    let drop = ["mdlm.toml", "--set", "data.on_bad_row=drop", "--out", "a"];
    let (_, notes) = workplace.train(&drop, 0);
    assert!(notes.contains("2 rows that cannot be used left out"), "{notes}");
}

/// Row 18: another recipe or data set is shown as a difference and refused, unless it is allowed or
/// forked.
#[test]
fn row_18_a_changed_recipe_or_data_set_is_shown_and_refused() {
    let workplace = Workplace::new();
    let stop = ["sft.toml", "--set", "run.checkpoint_every=1", "--set", "run.steps=400"];
    let arguments = [&stop[..], &["--out", "a"]].concat();
    let mut child = workplace.start(&arguments);
    let begun = Instant::now();
    while workplace.last_step("a") < 3 {
        assert!(begun.elapsed() < Duration::from_secs(120));
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // Without --resume nobody goes on by accident.
    let (_, error) = workplace.train(&arguments, 2);
    assert!(error.contains("add --resume"), "{error}");
    let other = [&arguments[..], &["--set", "optimizer.learning_rate=0.5", "--resume"]].concat();
    let (_, error) = workplace.train(&other, 2);
    assert!(error.contains("recipe.optimizer.learning_rate: 0.003 -> 0.5"), "{error}");
    let rows = fs::read_to_string(workplace.path("rows.jsonl")).unwrap();
    workplace.write("rows.jsonl", &rows[rows.find('\n').unwrap() + 1..]);
    let resume = [&arguments[..], &["--resume"]].concat();
    let (_, error) = workplace.train(&resume, 2);
    assert!(error.contains("rows.jsonl") && error.contains("89"), "{error}");
    // Another number of threads adds in the same order, but who can tell: it is shown.
    let mut command = workplace.command(&[&["train"], &resume[..]].concat());
    let output = command.env("RAYON_NUM_THREADS", "1").output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("threads:"), "{error}");
    let fork = ["sft.toml", "--set", "run.steps=8", "--fork", "a", "--out", "forked"];
    workplace.train(&fork, 0);
    let about: Value =
        serde_json::from_slice(&fs::read(workplace.path("forked/run.json")).unwrap()).unwrap();
    assert_eq!(about["parent"], "a");
    let allowed = ["--set", "run.steps=8", "--resume", "--allow-change", "--out", "a"];
    let (_, notes) = workplace.train(&[&["sft.toml"], &allowed[..]].concat(), 0);
    assert!(notes.contains("not bit for bit"), "{notes}");
}

/// Row 19: a finished run says so, with a code of its own; the end of an epoch is nothing special.
#[test]
fn row_19_already_complete_has_its_own_code() {
    let workplace = Workplace::new();
    // 90 rows in batches of 9: checkpoints fall on the ends of epochs.
    let epochs = "method = \"sft\"\n[model]\npath = \"causal\"\n[data]\ntrain = \"rows.jsonl\"\n\
                  [optimizer]\nlearning_rate = 1e-3\n\
                  [run]\nepochs = 2\nbatch = 9\ncheckpoint_every = 10\n";
    workplace.write("epochs.toml", epochs);
    workplace.train(&["epochs.toml", "--out", "a"], 0);
    assert_eq!(workplace.last_step("a"), 20);
    for more in [&[][..], &["--resume"]] {
        let (_, note) = workplace.train(&[&["epochs.toml", "--out", "a"], more].concat(), 4);
        assert!(note.contains("already holds the finished result"), "{note}");
    }
    // A finished run may be made longer, and is then what the longer run would have been.
    let longer = ["epochs.toml", "--set", "run.epochs=3", "--out"];
    workplace.train(&[&longer[..], &["whole"]].concat(), 0);
    workplace.train(&[&longer[..], &["a", "--resume", "--allow-change"]].concat(), 0);
    let weights =
        |run: &str| fs::read(workplace.path(run).join("final/model.safetensors")).unwrap();
    assert!(weights("a") == weights("whole"));
    workplace.train(&["epochs.toml", "--out", "b"], 0);
    // As if the process had ended between the last checkpoint and its last words.
    fs::remove_file(workplace.path("b/state.json")).unwrap();
    fs::remove_dir_all(workplace.path("b/final")).unwrap();
    workplace.train(&["--resume", "--out", "b"], 0);
    assert!(workplace.path("b/final/model.safetensors").is_file());
    assert_eq!(metrics(&workplace.path("b")).len(), 20);
}

/// Row 17: a signal during load, rollout, validation or save leads to a checkpoint and exit code 3,
/// and the run goes on from there.
#[test]
fn row_17_signals_at_any_time_leave_a_run_that_goes_on() {
    let workplace = Workplace::new();
    let settings = [
        "diffu-grpo.toml",
        "--set",
        "run.steps=60",
        "--set",
        "run.checkpoint_every=7",
        "--set",
        "data.validation=prompts.jsonl",
        "--set",
        "run.validate_every=3",
    ];
    workplace.train(&[&settings[..], &["--out", "whole"]].concat(), 0);
    let arguments = [&settings[..], &["--out", "stopped"]].concat();
    let mut codes = Vec::new();
    for delay in (0..30).map(|i| 15 * i) {
        let resume = workplace.path("stopped/run.json").is_file();
        let more: &[&str] = if resume { &["--resume"] } else { &[] };
        let mut child = workplace.start(&[&arguments[..], more].concat());
        std::thread::sleep(Duration::from_millis(delay));
        let name = if delay % 2 == 0 { "-TERM" } else { "-INT" };
        let pid = child.id().to_string();
        let _ = std::process::Command::new("kill").args([name, &pid]).status().unwrap();
        let code = child.wait().unwrap().code();
        codes.push(code);
        if code == Some(0) {
            break;
        }
        // None: before the program listens for signals.
        assert!(matches!(code, None | Some(3)), "{codes:?}");
    }
    assert!(codes.iter().filter(|code| **code == Some(3)).count() >= 3, "{codes:?}");
    if codes.last() != Some(&Some(0)) {
        workplace.train(&[&arguments[..], &["--resume"]].concat(), 0);
    }
    let weights =
        |run: &str| fs::read(workplace.path(run).join("final/model.safetensors")).unwrap();
    assert!(weights("whole") == weights("stopped"), "{codes:?}");
    assert_eq!(metrics(&workplace.path("whole")), metrics(&workplace.path("stopped")));
}

/// Row 17: a second signal ends the process at once.
#[test]
fn row_17_a_second_signal_ends_at_once() {
    let workplace = Workplace::new();
    // A step that takes long: many completions.
    let long = ["diffu-grpo.toml", "--set", "rl.prompts=4000", "--set", "rl.group_size=64"];
    let mut child = workplace.start(&[&long[..], &["--out", "a"]].concat());
    let begun = Instant::now();
    while !workplace.path("a/state.json").is_file() {
        assert!(begun.elapsed() < Duration::from_secs(120));
        std::thread::sleep(Duration::from_millis(2));
    }
    for _ in 0..2 {
        let pid = child.id().to_string();
        let _ = std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap();
        std::thread::sleep(Duration::from_millis(20));
    }
    // At once, or, if the first signal was enough, after a checkpoint.
    assert!(matches!(child.wait().unwrap().code(), Some(130 | 3)));
}

/// Row 20: a second process in the same directory is told who works there.
#[test]
fn row_20_one_process_a_run_directory() {
    let workplace = Workplace::new();
    let arguments = ["sft.toml", "--set", "run.steps=100000", "--out", "a"];
    let mut child = workplace.start(&arguments);
    let begun = Instant::now();
    while !workplace.path("a/state.json").is_file() {
        assert!(begun.elapsed() < Duration::from_secs(120));
        std::thread::sleep(Duration::from_millis(2));
    }
    let (_, error) = workplace.train(&[&arguments[..], &["--resume"]].concat(), 2);
    child.kill().unwrap();
    assert!(error.contains(&child.id().to_string()), "{error}");
    child.wait().unwrap();
}

/// Row 21: a loss that is not finite stops the run before the step, leaves the batch behind and is
/// never saved.
#[test]
fn row_21_a_loss_that_is_not_finite_stops_before_the_step() {
    let workplace = Workplace::new();
    let path = workplace.path("diffusion/model.safetensors");
    let mut weights = fs::read(&path).unwrap();
    let end = weights.len();
    weights[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    fs::write(&path, weights).unwrap();
    for method in ["mdlm", "diffu-grpo"] {
        let (_, error) = workplace.train(&[&format!("{method}.toml"), "--out", method], 1);
        assert!(error.contains("not finite") || error.contains("NaN"), "{error}");
        let state = fs::read(workplace.path(method).join("state.json")).unwrap();
        let state: Value = serde_json::from_slice(&state).unwrap();
        assert_eq!((state["status"].as_str(), state["step"].as_u64()), (Some("failed"), Some(0)));
        assert_eq!(workplace.last_step(method), 0);
    }
    let batch = fs::read(workplace.path("mdlm/not-finite-step-0.json")).unwrap();
    let batch: Value = serde_json::from_slice(&batch).unwrap();
    assert_eq!(batch["rows"].as_array().unwrap().len(), 8);
}

/// Row 22: rewards that are all equal teach nothing, are counted, and are no error.
#[test]
fn row_22_equal_rewards_are_counted() {
    let workplace = Workplace::new();
    let text = crate::workplace::recipe("diffu-grpo");
    let (head, _) = text.split_once("[[rewards]]").unwrap();
    let constant = format!("{head}[[rewards]]\nkind = \"regex\"\npattern = \"zzz\"\n");
    workplace.write("constant.toml", &constant);
    let (_, notes) = workplace.train(&["constant.toml", "--out", "a"], 0);
    for line in metrics(&workplace.path("a")) {
        assert_eq!(
            (line["frac_reward_zero_std"].as_f64(), line["updates"].as_f64()),
            (Some(1.0), Some(0.0))
        );
    }
    assert!(notes.contains("80 % of the groups earned one reward"), "{notes}");
}

/// Row 16: a directory that cannot be written to is an error before the first step.
#[test]
fn row_16_a_file_in_the_way_is_an_error() {
    let workplace = Workplace::new();
    workplace.write("a", "not a directory");
    let (_, error) = workplace.train(&["sft.toml", "--out", "a"], 2);
    assert!(error.contains("a is a file, not a directory"), "{error}");
    fs::create_dir(workplace.path("b")).unwrap();
    workplace.write("b/notes.txt", "mine");
    let (_, error) = workplace.train(&["sft.toml", "--out", "b"], 2);
    assert!(error.contains("is not empty and not a run"), "{error}");
    assert_eq!(fs::read_dir(workplace.path("b")).unwrap().count(), 1);
}

/// Row 28: paths with spaces, other alphabets and line ends are paths.
#[test]
fn row_28_odd_paths_are_paths() {
    let workplace = Workplace::new();
    for out in ["with space", "мысль", "line\nend"] {
        let set = ["--set", "run.steps=2"];
        let mut command =
            workplace.command(&[&["train", "sft.toml", "--out", out], &set[..]].concat());
        let output = command.env_remove("HOME").env("LC_ALL", "C").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(workplace.path(out).join("final").is_dir());
    }
}

/// Row 23: a reward process that never works is named before the first step; one that breaks in the
/// middle stops the run with a checkpoint, or is skipped and counted, as the recipe says.
#[test]
fn row_23_a_reward_that_fails_stops_the_run_or_is_counted() {
    let workplace = Workplace::new();
    if std::process::Command::new("python3").arg("--version").output().is_err() {
        println!("python3 is not here: rewards as processes were not tried");
        return;
    }
    let text = crate::workplace::recipe("diffu-grpo");
    let (head, _) = text.split_once("[[rewards]]").unwrap();
    let process = |script: &str, more: &str| {
        format!(
            "{head}[[rewards]]\nkind = \"process\"\ncommand = [\"python3\", \"{script}\"]\n\
             max_restarts = 0\n{more}"
        )
    };
    workplace.write("broken.py", "raise SystemExit('no model')\n");
    workplace.write("broken.toml", &process("broken.py", ""));
    let (_, error) = workplace.train(&["broken.toml", "--out", "a"], 1);
    // Said before the first step, which then fails.
    assert!(error.contains("the reward process fails for an empty completion"), "{error}");
    assert!(error.contains("no model"), "{error}");
    assert_eq!(workplace.last_step("a"), 0);
    // Fails for every completion from the fifth batch on.
    workplace.write(
        "late.py",
        "import json, sys\n\
         for count, line in enumerate(sys.stdin):\n\
        \x20   batch = json.loads(line)\n\
        \x20   entry = lambda i: {'id': i['id'], 'reward': len(i['completion']) % 3}\n\
        \x20   fail = lambda i: {'id': i['id'], 'error': 'tired'}\n\
        \x20   rewards = [(entry if count < 5 else fail)(i) for i in batch['items']]\n\
        \x20   print(json.dumps({'batch': batch['batch'], 'rewards': rewards}), flush=True)\n",
    );
    workplace.write("late.toml", &process("late.py", ""));
    let (_, error) = workplace.train(&["late.toml", "--out", "b"], 1);
    assert!(error.contains("tired"), "{error}");
    assert_eq!(workplace.last_step("b"), 4, "the state before the step that failed");
    workplace.write("skip.toml", &process("late.py", "on_failure = \"skip\"\n"));
    workplace.train(&["skip.toml", "--out", "c"], 0);
    let last = metrics(&workplace.path("c")).pop().unwrap();
    assert_eq!(last["rewards/process/failures"], 12.0);
    assert_eq!(last["updates"], 0.0, "nothing is learnt from completions without a reward");
}
