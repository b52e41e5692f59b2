//! The logs of a run: written, cut off at a resume, read back.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::fs;
use std::path::Path;

use afterthought_runs::Error;
use afterthought_runs::log::{Completion, History, Notice, RunLog, Watch, read_completions};
use serde_json::{Map, Value, json};

/// Logs steps `from..to` with a reward of a tenth of the step.
fn log(run: &Path, resume: Option<u64>, steps: std::ops::Range<u64>) -> Vec<Notice> {
    let (mut log, notices) = RunLog::open(run, resume).unwrap();
    for step in steps {
        let reward = step as f64 / 10.0;
        assert_eq!(log.scalars(step, &[("reward", reward), ("num_tokens", 640.0)]), []);
        let completion = Completion {
            prompt: format!("prompt {step}"),
            completion: "a \"quoted\"\nline \u{2028} \u{1b}[31m".into(),
            reward: Some(reward),
            parts: Map::from_iter([("format".to_owned(), json!(1.0))]),
            more: Map::from_iter([("verdict".to_owned(), json!("correct"))]),
        };
        assert_eq!(log.completions(step, &[completion]), []);
    }
    assert_eq!(log.lost(), 0);
    notices
}

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn every_line_is_one_object_and_reads_back() {
    let run = tempfile::tempdir().unwrap();
    assert_eq!(log(run.path(), None, 1..4), []);
    let metrics = lines(&run.path().join("metrics.jsonl"));
    let keys: Vec<&String> = metrics[0].as_object().unwrap().keys().collect();
    assert_eq!(keys, ["step", "time", "reward", "num_tokens"]);
    assert_eq!(metrics[2]["reward"], 0.3);

    let history = History::read(run.path()).unwrap();
    assert_eq!(history.names(), ["reward", "num_tokens"]);
    assert_eq!(history.series("reward"), [(1, 0.1), (2, 0.2), (3, 0.3)]);
    assert_eq!(history.last(), [("reward", 3, 0.3), ("num_tokens", 3, 640.0)]);
    let (completions, unreadable) = read_completions(run.path()).unwrap();
    assert_eq!((completions.len(), unreadable), (3, 0));
    assert_eq!(completions[1].step, 2);
    assert_eq!(completions[1].completion.completion, "a \"quoted\"\nline \u{2028} \u{1b}[31m");
    assert_eq!(completions[1].completion.more["verdict"], "correct");
}

#[test]
fn a_resumed_log_continues_where_the_checkpoint_stands() {
    let run = tempfile::tempdir().unwrap();
    log(run.path(), None, 1..8);
    let path = run.path().join("metrics.jsonl");
    // Killed while it wrote step 8.
    fs::write(&path, fs::read_to_string(&path).unwrap() + "{\"step\":8,\"tim").unwrap();

    let notices = log(run.path(), Some(5), 6..10);
    let texts: Vec<String> = notices.iter().map(Notice::to_string).collect();
    assert_eq!(
        texts,
        [
            "metrics.jsonl: 2 line(s) behind step 5 dropped; they are computed again",
            "metrics.jsonl: line 8 was cut short and is dropped",
            "completions.jsonl: 2 line(s) behind step 5 dropped; they are computed again",
        ]
    );
    let steps = |name: &str| -> Vec<u64> {
        lines(&run.path().join(name)).iter().map(|line| line["step"].as_u64().unwrap()).collect()
    };
    assert_eq!(steps("metrics.jsonl"), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
    assert_eq!(steps("completions.jsonl"), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
    assert_eq!(fs::read_dir(run.path().join("tensorboard")).unwrap().count(), 2);
}

#[test]
fn time_counts_the_run_and_not_the_pause() {
    let run = tempfile::tempdir().unwrap();
    let earlier =
        "{\"step\":1,\"time\":100.5,\"loss\":2.0}\n{\"step\":2,\"time\":900,\"loss\":1.0}\n";
    fs::write(run.path().join("metrics.jsonl"), earlier).unwrap();
    let (mut log, _) = RunLog::open(run.path(), Some(1)).unwrap();
    log.scalars(2, &[("loss", 1.5)]);
    let time = lines(&run.path().join("metrics.jsonl"))[1]["time"].as_f64().unwrap();
    assert!((100.5..200.0).contains(&time), "{time}");
}

#[test]
fn a_new_run_does_not_write_into_the_log_of_another() {
    let run = tempfile::tempdir().unwrap();
    log(run.path(), None, 1..3);
    let error = RunLog::open(run.path(), None).err().unwrap();
    assert!(matches!(error, Error::LogExists { .. }), "{error}");
    // Interrupted before its first checkpoint: begun again from nothing.
    log(run.path(), Some(0), 1..2);
    assert_eq!(History::read(run.path()).unwrap().series("reward"), [(1, 0.1)]);
}

#[test]
fn numbers_that_are_not_finite_and_reserved_names_do_not_break_a_line() {
    let run = tempfile::tempdir().unwrap();
    let (mut log, _) = RunLog::open(run.path(), None).unwrap();
    let notices = log.scalars(1, &[("loss", f64::NAN), ("step", 3.0), ("kl", f64::INFINITY)]);
    assert_eq!(notices, [Notice::ReservedName { name: "step".into() }]);
    let line = &lines(&run.path().join("metrics.jsonl"))[0];
    assert_eq!(
        (&line["step"], &line["loss"], &line["kl"]),
        (&json!(1), &json!(null), &json!(null))
    );
    assert!(History::read(run.path()).unwrap().series("loss")[0].1.is_nan());
}

#[test]
fn a_completion_cannot_overwrite_its_line() {
    let run = tempfile::tempdir().unwrap();
    let (mut log, _) = RunLog::open(run.path(), None).unwrap();
    let more = Map::from_iter([("step".to_owned(), json!(99)), ("verdict".to_owned(), json!("x"))]);
    let completion = Completion { reward: Some(f64::NAN), more, ..Completion::default() };
    let notices = log.completions(1, &[completion]);
    assert_eq!(notices, [Notice::ReservedName { name: "step".into() }]);
    let (read, unreadable) = read_completions(run.path()).unwrap();
    assert_eq!((read[0].step, read[0].completion.reward, unreadable), (1, None, 0));
    assert_eq!(read[0].completion.more["verdict"], "x");
}

#[test]
fn a_resumed_run_gives_no_hint_twice() {
    let run = tempfile::tempdir().unwrap();
    let (mut log, _) = RunLog::open(run.path(), None).unwrap();
    let values = [("reward", 0.5), ("loss", 0.0), ("kl", 3.0)];
    log.scalars(1, &values);
    let mut watch = Watch::new();
    let given: Vec<String> =
        watch.replay(&History::read(run.path()).unwrap()).into_iter().map(|hint| hint.id).collect();
    assert_eq!(given, ["loss-zero", "kl-high"]);
    assert_eq!(watch.observe(2, &values), []);
}

#[test]
fn the_tail_of_a_long_log_is_enough_for_the_last_values() {
    let run = tempfile::tempdir().unwrap();
    let line = |step: u64| format!("{{\"step\":{step},\"time\":{step},\"loss\":{step}.5}}\n");
    let text: String = (1..=20_000).map(line).collect();
    assert!(text.len() > 2 * (256 << 10));
    fs::write(run.path().join("metrics.jsonl"), text).unwrap();
    let (all, tail) = (History::read(run.path()).unwrap(), History::read_tail(run.path()).unwrap());
    assert_eq!(all.lines().len(), 20_000);
    assert!(tail.lines().len() < 20_000 && tail.unreadable() == 0);
    assert!(all.lines().ends_with(tail.lines()));
    assert_eq!(all.last(), tail.last());
}

#[test]
fn a_line_that_is_being_written_is_not_a_broken_one() {
    let run = tempfile::tempdir().unwrap();
    let text = "{\"step\":1,\"loss\":2}\nnot json\n[]\n{\"step\":2,\"lo";
    fs::write(run.path().join("metrics.jsonl"), text).unwrap();
    let history = History::read(run.path()).unwrap();
    assert_eq!((history.lines().len(), history.unreadable()), (1, 2));
}

#[test]
fn row_28_event_files_stay_in_order_when_the_clock_is_set_back() {
    let run = tempfile::tempdir().unwrap();
    let folder = run.path().join("tensorboard");
    fs::create_dir(&folder).unwrap();
    // Written in the year 2286.
    fs::write(folder.join("events.out.tfevents.9999999999.afterthought"), "").unwrap();
    RunLog::open(run.path(), Some(1)).unwrap();
    let mut names: Vec<String> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    // TensorBoard reads by name: the later file must sort behind the earlier one.
    names.sort();
    assert_eq!(names[0], "events.out.tfevents.10000000000.afterthought");
}

#[test]
fn row_28_a_run_directory_may_be_called_anything() {
    let parent = tempfile::tempdir().unwrap();
    for name in ["with spaces", "überprüfung π 模型", "two\nlines", "'quoted' \"twice\""] {
        let run = parent.path().join(name);
        fs::create_dir(&run).unwrap();
        log(&run, None, 1..3);
        log(&run, Some(1), 2..4);
        assert_eq!(History::read(&run).unwrap().lines().len(), 3, "{name}");
    }
}
