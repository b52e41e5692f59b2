//! Rows 15, 16 and 20 with real processes: one is killed while it saves, one meets the system's
//! limit on file sizes, two want one run directory.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use afterthought_runs::{Checkpoints, Error, Retention, RunLock};

mod support;
use support::{assert_whole, new, save, steps};

const RETENTION: Retention = Retention { last: 2, best: 1 };
/// Names the directory to those tests that are a process of another test.
const DIRECTORY: &str = "AFTERTHOUGHT_RUNS_TEST_DIRECTORY";

/// This test program again, as `test` alone.
fn program(test: &str, directory: &Path) -> Vec<String> {
    let this = std::env::current_exe().unwrap();
    let directory = format!("{DIRECTORY}={}", directory.display());
    ["env", &directory, &this.display().to_string(), test, "--exact", "--ignored", "--nocapture"]
        .map(str::to_owned)
        .to_vec()
}

fn start(command: &[String]) -> Child {
    Command::new(&command[0])
        .args(&command[1..])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn directory() -> PathBuf {
    std::env::var_os(DIRECTORY).map(PathBuf::from).unwrap()
}

fn say(text: impl std::fmt::Display) {
    let mut out = std::io::stdout();
    writeln!(out, "> {text}").unwrap();
    out.flush().unwrap();
}

/// What a process said with `say`; a line that was cut off is not one.
fn said(reader: &mut impl BufRead) -> Option<String> {
    let mut line = String::new();
    while reader.read_line(&mut line).unwrap() > 0 {
        if let Some((_, text)) = line.strip_suffix('\n').and_then(|line| line.split_once("> ")) {
            return Some(text.to_owned());
        }
        line.clear();
    }
    None
}

#[test]
#[ignore = "a process of row_15_killed_at_random"]
fn process_that_saves_until_it_is_killed() {
    let (mut checkpoints, _) = Checkpoints::open(&directory(), RETENTION).unwrap();
    loop {
        let step = checkpoints.latest().map_or(1, |latest| latest.step + 1);
        save(&mut checkpoints, step, Some((step % 7) as f64)).unwrap();
        say(step);
    }
}

/// Row 15: a process is killed again and again while it saves, and each takes up where the last
/// one was.
#[test]
fn row_15_killed_at_random() {
    let home = tempfile::tempdir().unwrap();
    let command = program("process_that_saves_until_it_is_killed", home.path());
    let mut saved = 0;
    for round in 0..40_u64 {
        let mut child = start(&command);
        let mut output = BufReader::new(child.stdout.take().unwrap());
        // Two that returned, then any time into a third.
        for _ in 0..2 {
            saved = said(&mut output).unwrap().parse().unwrap();
        }
        std::thread::sleep(Duration::from_micros(round * 7919 % 12_000));
        child.kill().unwrap();
        child.wait().unwrap();
        while let Some(step) = said(&mut output) {
            saved = step.parse().unwrap();
        }
        let (checkpoints, notices) = Checkpoints::open(home.path(), RETENTION).unwrap();
        assert!(checkpoints.damaged().is_empty(), "{notices:?}");
        assert_whole(&checkpoints);
        let latest = checkpoints.latest().unwrap().step;
        assert!(latest == saved || latest == saved + 1, "{latest} after {saved}");
        assert!(latest < 6 || checkpoints.best().unwrap().manifest.metric == Some(6.0));
        assert!(steps(&checkpoints).len() <= 4, "{:?}", steps(&checkpoints));
    }
    assert!(saved >= 80);
}

#[test]
#[ignore = "a process of row_16_a_limit_of_the_system"]
fn process_with_a_limit_on_file_sizes() {
    let (mut checkpoints, _) = Checkpoints::open(&directory(), RETENTION).unwrap();
    save(&mut checkpoints, 1, None).unwrap();
    let large = vec![1; 1 << 20];
    let error = checkpoints
        .save(&new(2, Some(1), None), &mut |writer| {
            writer.file("large.bin", &large)?;
            writer.file("more.bin", &large)
        })
        .unwrap_err();
    assert!(error.is_retryable());
    say(&error);
    say(steps(&Checkpoints::open(&directory(), RETENTION).unwrap().0)[0]);
    save(&mut checkpoints, 2, None).unwrap();
    say(checkpoints.latest().unwrap().step);
}

/// Row 16: the system refuses to write. Through the shell, which can set the limit and ignore the
/// signal that comes with it.
#[test]
fn row_16_a_limit_of_the_system() {
    let home = tempfile::tempdir().unwrap();
    let mut command =
        ["sh", "-c", "trap '' XFSZ; ulimit -f 64; exec \"$@\"", "sh"].map(str::to_owned).to_vec();
    command.extend(program("process_with_a_limit_on_file_sizes", home.path()));
    let mut child = start(&command);
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let error = said(&mut output).unwrap();
    let expected = "checkpoint of step 2 not saved: cannot write ";
    assert!(error.starts_with(expected), "{error}");
    assert!(error.contains("tmp-00000002/large.bin (needs 2.1 MB, "), "{error}");
    assert_eq!(said(&mut output).as_deref(), Some("1"));
    assert_eq!(said(&mut output).as_deref(), Some("2"));
    assert!(child.wait().unwrap().success());
}

#[test]
#[ignore = "a process of row_20_one_process_a_run_directory"]
fn process_that_holds_the_lock() {
    let _lock = RunLock::acquire(&directory()).unwrap();
    say("held");
    // Until the other end is closed.
    let _ = std::io::stdin().lines().count();
}

/// Row 20: the second process is told who has the run directory.
#[test]
fn row_20_one_process_a_run_directory() {
    let home = tempfile::tempdir().unwrap();
    let run = home.path().join("new run");
    for kill in [true, false] {
        let mut child = start(&program("process_that_holds_the_lock", &run));
        let mut output = BufReader::new(child.stdout.take().unwrap());
        assert_eq!(said(&mut output).as_deref(), Some("held"));
        let error = RunLock::acquire(&run).unwrap_err();
        let text = error.to_string();
        let Error::Locked { path, pid, command, since } = error else { panic!("{error:?}") };
        assert_eq!((&path, pid), (&run, child.id()));
        assert!(command.contains("process_that_holds_the_lock"), "{command}");
        assert!(since.ends_with('Z') && since.starts_with("20"), "{since}");
        assert!(text.contains(&format!("process {pid}")), "{text}");
        assert_eq!(RunLock::holder(&run).unwrap().unwrap().pid, pid);
        // However it ends, the lock ends with it.
        if kill {
            child.kill().unwrap();
        } else {
            drop(child.stdin.take());
        }
        child.wait().unwrap();
        assert_eq!(RunLock::holder(&run).unwrap(), None);
        drop(RunLock::acquire(&run).unwrap());
    }
}

/// Row 20: also within one process, and not after the first is done.
#[test]
fn row_20_a_lock_is_held_until_it_is_dropped() {
    let home = tempfile::tempdir().unwrap();
    let lock = RunLock::acquire(home.path()).unwrap();
    let error = RunLock::acquire(home.path()).unwrap_err();
    assert!(matches!(error, Error::Locked { pid, .. } if pid == std::process::id()), "{error}");
    drop(lock);
    assert_eq!(fs::read(home.path().join("run.lock")).unwrap(), b"");
    RunLock::acquire(home.path()).unwrap();
}
