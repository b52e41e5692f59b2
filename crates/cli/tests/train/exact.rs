//! A run that was stopped, or killed at random points, ends as one that was not.

use std::process::Child;
use std::time::{Duration, Instant};

use crate::workplace::{Workplace, contents, metrics};

fn same_end(workplace: &Workplace, one: &str, other: &str) {
    let [left, right] = [one, other].map(|run| contents(&workplace.path(run).join("final")));
    assert_eq!(left.len(), right.len());
    for (left, right) in left.iter().zip(&right) {
        assert_eq!(left.0, right.0);
        assert!(left.1 == right.1, "{} differs between {one} and {other}", left.0);
    }
    let [left, right] = [one, other].map(|run| metrics(&workplace.path(run)));
    assert_eq!(left, right);
}

/// Sends a signal to a child.
fn signal(child: &Child, name: &str) {
    let sent = std::process::Command::new("kill")
        .args([&format!("-{name}"), &child.id().to_string()])
        .status()
        .unwrap();
    assert!(sent.success());
}

/// Waits for a checkpoint behind `step`, or for the end.
fn wait_for_step(workplace: &Workplace, run: &str, step: u64, child: &mut Child) {
    let begun = Instant::now();
    while workplace.last_step(run) <= step && child.try_wait().unwrap().is_none() {
        assert!(begun.elapsed() < Duration::from_secs(120), "no checkpoint after step {step}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Half of the steps, then the other half: by a recipe that ends early and one that goes on.
#[test]
fn twice_n_steps_are_n_and_n_for_every_method() {
    let workplace = Workplace::new();
    for (method, lora) in [
        ("sft", false),
        ("sft", true),
        ("mdlm", false),
        ("mdlm", true),
        ("diffu-grpo", false),
        ("diffu-grpo", true),
    ] {
        let recipe = format!("{method}.toml");
        let (whole, halves) = (format!("{method}-{lora}-whole"), format!("{method}-{lora}-halves"));
        let mut common = vec![recipe.as_str()];
        if lora {
            common.extend(["--set", "lora.rank=2", "--set", "lora.dropout=0.1"]);
        }
        common.extend(["--set", "run.checkpoint_every=1", "--set", "run.steps=12"]);
        common.extend(["--set", "run.log_every=3"]);
        workplace.train(&[&common[..], &["--out", &whole]].concat(), 0);
        // A signal at some step, noticed at the next safe point; the exit code says so.
        let arguments = [&common[..], &["--out", &halves]].concat();
        let mut child = workplace.start(&arguments);
        wait_for_step(&workplace, &halves, 3, &mut child);
        signal(&child, "INT");
        let code = child.wait().unwrap().code();
        // The signal may come after the last step.
        if code != Some(0) {
            assert_eq!(code, Some(3), "{method}");
            assert!(workplace.last_step(&halves) >= 4);
            workplace.train(&[&arguments[..], &["--resume"]].concat(), 0);
        }
        same_end(&workplace, &whole, &halves);
    }
}

/// Row 15, kill loop: more than fifty kills in a row, at random points of start, step and save.
#[test]
fn row_15_a_run_killed_fifty_times_ends_with_the_same_weights() {
    let workplace = Workplace::new();
    let settings = [
        "sft.toml",
        "--set",
        "run.steps=230",
        "--set",
        "run.checkpoint_every=1",
        "--set",
        "run.keep_last=1",
        "--set",
        "data.validation=valid.jsonl",
        "--set",
        "run.validate_every=7",
        "--set",
        "run.result=best",
        "--set",
        "run.log_every=5",
    ];
    workplace.train(&[&settings[..], &["--out", "whole"]].concat(), 0);
    let (mut kills, mut state) = (0, 12345u64);
    let mut random = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) % below
    };
    let mut resume = false;
    while kills < 55 {
        let before = workplace.last_step("killed");
        let mut arguments = [&settings[..], &["--out", "killed"]].concat();
        if resume {
            arguments.push("--resume");
        }
        let mut child = workplace.start(&arguments);
        // Two of three times once it gets going, else wherever it is.
        match random(3) {
            0 => std::thread::sleep(Duration::from_millis(random(250))),
            _ => {
                wait_for_step(&workplace, "killed", before, &mut child);
                std::thread::sleep(Duration::from_micros(random(6000)));
            }
        }
        child.kill().unwrap();
        let ended = child.wait().unwrap();
        assert!(!ended.success(), "the run ended after {kills} kills, at step {before}");
        kills += 1;
        resume = workplace.path("killed/run.json").is_file();
    }
    assert!(workplace.last_step("killed") > 20);
    let arguments = [&settings[..], &["--out", "killed", "--resume"]].concat();
    workplace.train(&arguments, 0);
    same_end(&workplace, "whole", "killed");
}
