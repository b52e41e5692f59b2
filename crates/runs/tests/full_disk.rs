//! Row 16 of the fault table: a real file system that refuses to write.
//!
//! The test runs itself again under a limit on the size of files, which the kernel enforces in the
//! middle of a line.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, missing_docs)]

use std::env;
use std::fs;
use std::process::Command;

use afterthought_runs::log::{History, RunLog, read_completions};

const INSIDE: &str = "AFTERTHOUGHT_TEST_FULL_DISK";
const STEPS: u64 = 400;

/// The process that logs under the limit; what it prints is read by the test below.
#[test]
fn logs_under_a_limit() {
    let Some(run) = env::var_os(INSIDE) else { return };
    let (mut log, _) = RunLog::open(run.as_ref(), None).unwrap();
    for step in 1..=STEPS {
        for notice in log.scalars(step, &[("loss", step as f64), ("reward", 0.25)]) {
            println!("notice: {notice}");
        }
    }
    println!("lost: {}", log.lost());
}

#[test]
fn row_16_a_run_goes_on_when_its_log_cannot_grow() {
    let run = tempfile::tempdir().unwrap();
    // Files of at most 8 blocks of 512 bytes; the signal that would end the process is ignored.
    let output = Command::new("sh")
        .args([
            "-c",
            "trap '' XFSZ; ulimit -f 8; exec \"$0\" --exact logs_under_a_limit --nocapture",
        ])
        .arg(env::current_exe().unwrap())
        .env(INSIDE, run.path())
        .output()
        .unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{stdout}\n{}", String::from_utf8_lossy(&output.stderr));
    let notices: Vec<&str> = stdout.lines().filter(|line| line.contains("notice: ")).collect();
    assert!(notices[0].contains("cannot write"), "{stdout}");
    assert!(notices.iter().any(|line| line.contains("metrics.jsonl")), "{stdout}");
    assert!(notices.iter().any(|line| line.contains("(100 time(s) in a row")), "{stdout}");
    assert!(notices.len() < 20, "one notice in a hundred: {stdout}");

    // What stands there is whole lines, from the first step on without a gap.
    let metrics = fs::read_to_string(run.path().join("metrics.jsonl")).unwrap();
    assert!(metrics.ends_with('\n') && metrics.len() <= 4096, "{}", metrics.len());
    let history = History::read(run.path()).unwrap();
    let written = history.lines().len() as u64;
    assert!((10..STEPS).contains(&written) && history.unreadable() == 0);
    assert_eq!(history.step(), Some(written));

    // With room again, the run resumes and its log is complete.
    let (mut log, _) = RunLog::open(run.path(), Some(written)).unwrap();
    for step in written + 1..=STEPS {
        assert_eq!(log.scalars(step, &[("loss", step as f64)]), []);
    }
    let steps: Vec<u64> =
        History::read(run.path()).unwrap().lines().iter().map(|line| line.step).collect();
    assert_eq!(steps, (1..=STEPS).collect::<Vec<_>>());
    assert_eq!(read_completions(run.path()).unwrap(), (vec![], 0));
}

#[test]
fn row_16_a_directory_that_cannot_be_written_is_an_error_before_the_first_step() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = RunLog::open(&file.path().join("run"), None).err().unwrap();
    assert!(error.to_string().contains("metrics.jsonl"), "{error}");
}
