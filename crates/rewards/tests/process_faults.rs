//! Row 23 of the fault table: a reward process hangs, crashes, returns NaN, a wrong count, a wrong
//! order, a gigabyte, or something that is not JSON.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

mod fake;

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use afterthought_rewards::{Error, Outcome, RewardConfig};
use fake::{answer, failure, score, score_again, sh, values};

/// `script` with a folder of its own to run in.
fn in_folder(script: &str) -> (tempfile::TempDir, RewardConfig) {
    let folder = tempfile::tempdir().unwrap();
    let config = RewardConfig { working_dir: Some(folder.path().into()), ..sh(script) };
    (folder, config)
}

fn lines_of(path: &Path) -> usize {
    fs::read_to_string(path).map_or(0, |text| text.lines().count())
}

/// Whether a process is there and is no zombie. Where there is no `/proc`, none is.
fn alive(pid: &str) -> bool {
    fs::read_to_string(format!("/proc/{}/stat", pid.trim()))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or("").trim_start().starts_with('Z'))
}

/// A signal may take a moment to do its work on a process that nobody waits for.
fn assert_gone(folder: &Path, files: &[&str]) {
    for file in files {
        let pid = fs::read_to_string(folder.join(file)).unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        while alive(&pid) {
            assert!(Instant::now() < deadline, "the process {file}, {pid}, is still there");
            thread::sleep(Duration::from_millis(5));
        }
    }
}

#[test]
fn row_23_one_that_hangs_is_killed_with_all_it_started() {
    let (folder, config) =
        in_folder("echo $$ > own; read line; sleep 1000 & echo $! > other; wait");
    let config = RewardConfig { timeout_s: Some(0.5), ..config };
    let outcomes = score(&config, &[1, 2]).unwrap();
    let reason = failure(&outcomes);
    assert!(reason.contains("no answer within 0.5 s (timeout_s)"), "{reason}");
    assert!(reason.contains("flush=True"), "{reason}");
    assert_gone(folder.path(), &["own", "other"]);
}

#[test]
fn row_23_one_that_does_not_read_hangs_no_longer_than_the_timeout() {
    let config = RewardConfig { timeout_s: Some(0.5), ..sh("sleep 1000") };
    // More than a pipe holds.
    let ids: Vec<u64> = (0..50_000).collect();
    let outcomes = score(&config, &ids).unwrap();
    assert!(failure(&outcomes).contains("no answer within"));
}

#[test]
fn row_23_one_that_crashes_midway_is_started_again_for_the_same_batch() {
    let script = format!(
        "echo x >> starts
         while read -r line; do
           case \"$line\" in
             '{{\"batch\":1,'*) echo '{}' ;;
             *) if [ $(wc -l < starts) -eq 1 ]; then echo 'no memory' >&2; exit 3; fi
                echo '{}' ;;
           esac
         done",
        answer(1, &[5, 6]),
        answer(2, &[5, 6])
    );
    let (folder, config) = in_folder(&script);
    let (log, lines) = fake::kept_log();
    let again = RewardConfig { max_restarts: Some(1), ..config.clone() };
    let mut reward = again.build_with_log(Path::new("."), &log).unwrap();
    for _ in 0..2 {
        assert_eq!(score_again(reward.as_mut(), &[5, 6]).unwrap(), values(&[5, 6]));
    }
    assert_eq!(lines_of(&folder.path().join("starts")), 2);
    let lines = lines.lock().unwrap();
    assert!(
        lines.iter().any(|line| line.starts_with("restart: it ended before it answered")
            && line.contains("exit status: 3")),
        "{lines:?}"
    );
    assert!(lines.contains(&"no memory".to_owned()), "{lines:?}");

    // Without restarts, the batch fails and the next is for a new process.
    fs::remove_file(folder.path().join("starts")).unwrap();
    let mut reward = config.build(Path::new(".")).unwrap();
    assert_eq!(score_again(reward.as_mut(), &[5, 6]).unwrap(), values(&[5, 6]));
    let outcomes = score_again(reward.as_mut(), &[5, 6]).unwrap();
    let reason = failure(&outcomes);
    assert!(reason.contains("exit status: 3") && reason.ends_with("    no memory"), "{reason}");
    assert_eq!(lines_of(&folder.path().join("starts")), 1);
    let outcomes = score_again(reward.as_mut(), &[5, 6]).unwrap();
    assert!(failure(&outcomes).contains("expected an answer to batch 3, found 2"));
    assert_eq!(lines_of(&folder.path().join("starts")), 2);
}

#[test]
fn row_23_one_that_exits_at_once_is_started_no_more_often_than_allowed() {
    let (folder, config) = in_folder("echo x >> starts; echo \"No module named 'x'\" >&2; exit 7");
    let config = RewardConfig { max_restarts: Some(2), ..config };
    let outcomes = score(&config, &[1, 2]).unwrap();
    let reason = failure(&outcomes);
    for part in ["exit status: 7", "No module named 'x'", "(after 2 restarts)"] {
        assert!(reason.contains(part), "{reason}");
    }
    assert_eq!(lines_of(&folder.path().join("starts")), 3);
}

#[test]
fn row_23_a_command_that_is_not_there_is_an_error_before_anything_runs() {
    let with = |command: &str| {
        let config = RewardConfig { command: Some(vec![command.to_owned()]), ..sh("") };
        config.build(Path::new(".")).map(|_| ()).unwrap_err()
    };
    let error = with("no-such-program-anywhere");
    let text = error.to_string();
    assert!(
        matches!(error, Error::Start { ref program, .. } if program == "no-such-program-anywhere")
    );
    assert!(text.contains("not on PATH"), "{text}");
    assert!(with("./no-such-file").to_string().contains("no such file"));

    // A file that is no program is noticed when it is started.
    let (folder, config) = in_folder("");
    fs::write(folder.path().join("reward.py"), "print(1)").unwrap();
    let config = RewardConfig { command: Some(vec!["./reward.py".into()]), ..config };
    let error = score(&config, &[1]).unwrap_err();
    assert!(error.to_string().contains("chmod +x"), "{error}");
    let config = RewardConfig { working_dir: Some("no/such/folder".into()), ..config };
    let error = config.build(folder.path()).map(|_| ()).unwrap_err();
    assert!(matches!(error, Error::WorkingDirectory { .. }), "{error}");
}

#[test]
fn row_23_nan_fails_its_completion_only() {
    let config = sh("read line; echo '{\"batch\": 1, \"rewards\": [{\"id\": 1, \"reward\": NaN}, \
         {\"id\": 2, \"reward\": 0.5}, {\"id\": 3, \"reward\": -Infinity}]}'; read line");
    let outcomes = score(&config, &[1, 2, 3]).unwrap();
    assert!(matches!(&outcomes[0], Outcome::Failed(reason) if reason.contains("NaN")));
    assert_eq!(outcomes[1], Outcome::Value(0.5));
    assert!(matches!(&outcomes[2], Outcome::Failed(reason) if reason.contains("Infinity")));
}

#[test]
fn row_23_order_does_not_matter_and_the_count_does() {
    let one_answer = |ids: &[u64]| sh(&format!("read line; echo '{}'; read line", answer(1, ids)));
    assert_eq!(score(&one_answer(&[9, 7, 8]), &[7, 8, 9]).unwrap(), values(&[7, 8, 9]));
    for (ids, why) in [
        (&[7, 8][..], "expected 3 rewards, found 2: nothing for id 9"),
        (&[7, 8, 9, 9], "id 9 has two rewards"),
        (&[7, 8, 8], "id 8 has two rewards"),
        (&[7, 8, 9, 10], "id 10 is not in the batch"),
        (&[], "found 0"),
    ] {
        let outcomes = score(&one_answer(ids), &[7, 8, 9]).unwrap();
        let reason = failure(&outcomes);
        assert!(reason.contains(why), "{reason}");
        assert!(reason.contains(r#"the answer was "{\"batch\":1"#), "{reason}");
    }
}

#[test]
fn row_23_one_value_is_never_used_for_several() {
    for line in ["0.5", "[0.5]", "[0.5, 0.5, 0.5]"] {
        let outcomes =
            score(&sh(&format!("read line; echo '{line}'; read line")), &[1, 2, 3]).unwrap();
        assert!(failure(&outcomes).contains("bare rewards"), "{outcomes:?}");
    }
}

#[test]
fn row_23_what_is_not_json_is_shown() {
    let outcomes = score(&sh("printf '\\033[1mLoading\\n'; read line; read line"), &[1]).unwrap();
    let reason = failure(&outcomes);
    assert!(reason.contains(r#"the answer was "\u{1b}[1mLoading""#), "{reason}");
    assert!(reason.contains("messages belong on stderr"), "{reason}");
}

#[test]
fn row_23_an_answer_too_many_is_not_taken_for_the_next() {
    let first = answer(1, &[1]);
    let config = sh(&format!(
        "read line; echo '{first}'; echo '{first}'; touch done; read line; echo '{}'; read line",
        answer(2, &[1])
    ));
    let folder = tempfile::tempdir().unwrap();
    let config = RewardConfig { working_dir: Some(folder.path().into()), ..config };
    let mut reward = config.build(Path::new(".")).unwrap();
    assert_eq!(score_again(reward.as_mut(), &[1]).unwrap(), values(&[1]));
    let outcomes = score_again(reward.as_mut(), &[1]).unwrap();
    let reason = failure(&outcomes);
    assert!(
        reason.contains("answers nothing") || reason.contains("expected an answer to batch 2"),
        "{reason}"
    );
}

#[test]
fn row_23_one_gigabyte_in_a_line_is_given_up_at_the_cap() {
    let (folder, config) = in_folder(
        "echo $$ > own; read line; head -c 1073741824 /dev/zero | tr '\\0' x; echo; read line",
    );
    let config = RewardConfig { max_response_bytes: Some(1 << 20), ..config };
    let outcomes = score(&config, &[1]).unwrap();
    let reason = failure(&outcomes);
    assert!(reason.contains("longer than 1048576 bytes (max_response_bytes)"), "{reason}");
    assert_gone(folder.path(), &["own"]);
}

#[test]
fn row_23_one_that_dies_within_a_line() {
    let outcomes = score(&sh("read line; printf '{\"batch\": 1, \"rew'; exit 0"), &[1]).unwrap();
    let reason = failure(&outcomes);
    assert!(reason.contains("exit status: 0"), "{reason}");
    assert!(reason.contains(r#"in the middle of the line "{\"batch\": 1, \"rew""#), "{reason}");
    let outcomes = score(&sh("read line; kill -SEGV $$"), &[1]).unwrap();
    assert!(failure(&outcomes).contains("signal: 11"), "{outcomes:?}");
}

#[test]
fn row_23_one_that_closes_its_stdout_or_its_stdin() {
    let (folder, config) = in_folder("echo $$ > own; read line; exec >&-; exec sleep 1000");
    let outcomes = score(&config, &[1]).unwrap();
    assert!(failure(&outcomes).contains("it closed its stdout and did not end"), "{outcomes:?}");
    assert_gone(folder.path(), &["own"]);
    let ids: Vec<u64> = (0..50_000).collect();
    let outcomes = score(&sh("exec <&-; exec sleep 1000"), &ids).unwrap();
    assert!(failure(&outcomes).contains("does not read its stdin"), "{:?}", outcomes[0]);
}

#[test]
fn row_23_one_that_floods_stderr_answers_all_the_same() {
    let config = sh(&format!(
        "read line; yes '0123456789 0123456789' | head -c 50000000 >&2; echo '{}'; read line",
        answer(1, &[1])
    ));
    let (log, lines) = fake::kept_log();
    let mut reward = config.build_with_log(Path::new("."), &log).unwrap();
    assert_eq!(score_again(reward.as_mut(), &[1]).unwrap(), values(&[1]));
    drop(reward);
    let count = lines.lock().unwrap().len();
    assert!((1..=201).contains(&count), "{count} lines were logged");
}

#[test]
fn row_23_one_that_ignores_sigterm_and_the_end_of_stdin_ends_with_the_reward() {
    let (folder, config) = in_folder(&format!(
        "trap '' TERM; echo $$ > own; read line; echo '{}'
         while :; do sleep 0.1; done",
        answer(1, &[1])
    ));
    let mut reward = config.build(Path::new(".")).unwrap();
    assert_eq!(score_again(reward.as_mut(), &[1]).unwrap(), values(&[1]));
    assert!(
        !cfg!(target_os = "linux")
            || alive(&fs::read_to_string(folder.path().join("own")).unwrap())
    );
    drop(reward);
    assert_gone(folder.path(), &["own"]);
}

#[test]
fn one_that_ends_when_its_stdin_does_may_finish() {
    let (folder, config) = in_folder(&format!(
        "sleep 1000 > /dev/null & echo $! > other
         read line; echo '{}'; read line || touch finished",
        answer(1, &[1])
    ));
    let mut reward = config.build(Path::new(".")).unwrap();
    assert_eq!(score_again(reward.as_mut(), &[1]).unwrap(), values(&[1]));
    assert!(!folder.path().join("finished").exists());
    drop(reward);
    assert!(folder.path().join("finished").exists());
    // What it left behind is gone too.
    assert_gone(folder.path(), &["other"]);
}

#[test]
fn equal_ids_are_an_error_and_no_completions_are_no_call() {
    let mut reward = sh("exit 1").build(Path::new(".")).unwrap();
    assert!(matches!(score_again(reward.as_mut(), &[1, 1]), Err(Error::SameId { id: 1 })));
    assert_eq!(score_again(reward.as_mut(), &[]).unwrap(), []);
}
