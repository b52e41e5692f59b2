//! The runs of a folder, and what in it is not a run.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::fs::{self, File};
use std::path::Path;

use afterthought_runs::listing::{Kind, State, list, open};
use serde_json::json;

fn train(folder: &Path, name: &str, created: &str, status: &str) {
    let run = folder.join(name);
    fs::create_dir_all(run.join("checkpoints/step-00000020")).unwrap();
    fs::create_dir_all(run.join("checkpoints/step-00000010")).unwrap();
    fs::create_dir_all(run.join("checkpoints/tmp-00000030")).unwrap();
    let about = json!({
        "schema": "afterthought.run/1", "command": "train", "program": "0.1.0",
        "method": "diffu-grpo", "model": "models/base", "created": created, "total_steps": 100,
        "parent": "runs/before",
        "recipe": {"name": "countdown", "seed": 1},
    });
    fs::write(run.join("run.json"), about.to_string()).unwrap();
    let state = json!({"status": status, "step": 20, "message": "why", "updated": created});
    fs::write(run.join("state.json"), state.to_string()).unwrap();
    let metrics = "{\"step\":1,\"time\":1.5,\"reward\":0.1,\"eval_reward\":0.2}\n\
                   {\"step\":2,\"time\":3.25,\"reward\":0.4}\n";
    fs::write(run.join("metrics.jsonl"), metrics).unwrap();
}

#[test]
fn a_run_says_what_it_is_and_how_far() {
    let folder = tempfile::tempdir().unwrap();
    train(folder.path(), "a", "2026-11-27T10:00:00Z", "complete");
    let run = open(&folder.path().join("a")).unwrap();
    assert_eq!((run.kind, run.state), (Kind::Train, State::Complete));
    assert_eq!(run.method.as_deref(), Some("diffu-grpo"));
    assert_eq!(run.recipe_name.as_deref(), Some("countdown"));
    assert_eq!((run.step, run.total_steps, run.seconds), (Some(20), Some(100), Some(3.25)));
    assert_eq!(
        (run.checkpoints.as_slice(), run.parent.as_deref()),
        (&[10, 20][..], Some("runs/before"))
    );
    let metrics: Vec<_> = run.metrics.iter().map(|m| (m.name.as_str(), m.step, m.value)).collect();
    assert_eq!(metrics, [("reward", 2, 0.4), ("eval_reward", 1, 0.2)]);
    assert_eq!((run.problems, run.resume), (vec![], vec![]));
}

#[test]
fn a_run_is_running_while_its_lock_is_held_and_interrupted_once_the_process_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    train(folder.path(), "a", "2026-11-27T10:00:00Z", "running");
    let path = folder.path().join("a");
    let lock = File::create(path.join("run.lock")).unwrap();
    lock.lock().unwrap();
    assert_eq!(open(&path).unwrap().state, State::Running);
    drop(lock);
    assert_eq!(open(&path).unwrap().state, State::Interrupted);
}

#[test]
fn what_cannot_be_read_of_a_run_is_named() {
    let folder = tempfile::tempdir().unwrap();
    train(folder.path(), "a", "2026-11-27T10:00:00Z", "complete");
    let path = folder.path().join("a");
    fs::remove_file(path.join("metrics.jsonl")).unwrap();
    fs::create_dir(path.join("metrics.jsonl")).unwrap();
    let run = open(&path).unwrap();
    assert_eq!((run.state, run.problems.len()), (State::Complete, 1));
    assert!(run.problems[0].starts_with("cannot read "), "{:?}", run.problems);
    assert!(run.problems[0].contains("metrics.jsonl: "), "{:?}", run.problems);
}

#[test]
fn every_directory_is_a_run_or_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    train(folder.path(), "later", "2026-11-27T12:00:00Z", "failed");
    train(folder.path(), "earlier", "2026-11-27T09:00:00Z", "interrupted");
    train(folder.path(), "torn state", "2026-11-27T10:00:00Z", "running");
    fs::write(path("torn state").join("state.json"), "{\"status\":\"runn").unwrap();
    train(folder.path(), "torn", "x", "running");
    fs::write(path("torn").join("run.json"), "{\"schema\":\"afterth").unwrap();
    train(folder.path(), "newer", "x", "running");
    let newer = json!({"schema": "afterthought.run/2", "command": "train"});
    fs::write(path("newer").join("run.json"), newer.to_string()).unwrap();
    fs::create_dir(path("photos")).unwrap();
    train(folder.path(), "headless", "x", "complete");
    fs::remove_file(path("headless").join("run.json")).unwrap();
    fs::create_dir_all(path("d1").join("stages")).unwrap();
    let request = json!({"command": "reproduce d1", "version": "0.1.0", "preset": "smoke",
                         "seed": 42, "recipe": {"model": {"hidden": 96}}});
    fs::write(path("d1").join("request.json"), request.to_string()).unwrap();
    fs::write(path("d1").join("stages/base.json"), "{}").unwrap();
    fs::write(path("d1").join("calls.jsonl"), "{\"seconds\":2.5}\n{\"seconds\":1.0}\n{\"se")
        .unwrap();
    fs::write(folder.path().join("notes.txt"), "").unwrap();

    let listing = list(folder.path()).unwrap();
    let runs: Vec<_> = listing.runs.iter().map(|run| (run.name.as_str(), run.state)).collect();
    assert_eq!(
        runs,
        [
            ("earlier", State::Interrupted),
            ("torn state", State::Unfinished),
            ("later", State::Failed),
            ("d1", State::Unfinished),
        ]
    );
    assert!(listing.runs[1].problems[0].starts_with("state.json: "));
    let d1 = &listing.runs[3];
    assert_eq!((d1.kind, d1.stages.as_slice()), (Kind::Reproduce, &["base".to_owned()][..]));
    let continued = d1.resume.join(" ");
    assert!(continued.starts_with("reproduce d1 --preset smoke --seed 42 --out "), "{continued}");
    assert!(continued.ends_with("/d1"), "{continued}");
    assert_eq!(listing.runs[0].resume[0], "train");
    assert_eq!((d1.seconds, d1.recipe["seed"].as_u64()), (Some(3.5), Some(42)));

    let others: Vec<_> =
        listing.others.iter().map(|other| format!("{}: {}", other.name, other.reason)).collect();
    assert_eq!(others.len(), 4);
    assert_eq!(others[0], "headless: state.json without run.json or request.json");
    assert!(others[1].contains("\"afterthought.run/2\""), "{others:?}");
    assert_eq!(others[2], "photos: nothing of a run in it");
    assert!(others[3].starts_with("torn: run.json: EOF"), "{others:?}");
}

#[cfg(unix)]
#[test]
fn row_28_names_of_any_kind_and_links_that_lead_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["with spaces", "π 模型", "two\nlines"] {
        train(folder.path(), name, "2026-11-27T10:00:00Z", "complete");
    }
    std::os::unix::fs::symlink("nowhere", folder.path().join("broken link")).unwrap();
    let listing = list(folder.path()).unwrap();
    let names: Vec<_> = listing.runs.iter().map(|run| run.name.as_str()).collect();
    assert_eq!(names, ["two\nlines", "with spaces", "π 模型"]);
    assert_eq!(listing.others[0].name, "broken link");
    assert!(list(&folder.path().join("nowhere")).is_err());
}
