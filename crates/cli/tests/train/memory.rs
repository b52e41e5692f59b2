//! Row 27: a run that needs more memory than there is.
#![cfg(target_os = "linux")]

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::recipes::llada_8b;
use crate::workplace::{Workplace, contents};

/// The program, by a shell that does something to itself first; `None` where it may not.
fn after(workplace: &Workplace, preparation: &str, arguments: &[&str]) -> Option<Output> {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{preparation} || exit 99; exec \"$0\" \"$@\"")]);
    command.arg(env!("CARGO_BIN_EXE_afterthought")).args(arguments);
    // Stacks of many threads are address space, too.
    command.current_dir(workplace.path("")).env("NO_COLOR", "1").env("RAYON_NUM_THREADS", "2");
    let output = command.output().unwrap();
    if output.status.code() == Some(99) {
        println!("{preparation} is not allowed here: the test has not run");
        return None;
    }
    Some(output)
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

const STEPS: [&str; 5] = ["sft.toml", "--set", "optimizer.decay=constant", "--set", "run.steps=8"];

/// A run of four steps, to be gone on with, and the settings of a step of gigabytes.
fn four_of_eight(workplace: &Workplace) -> Vec<&'static str> {
    workplace.train(&[&STEPS[..], &["--set", "run.steps=4", "--out", "a"]].concat(), 0);
    workplace.train(&[&STEPS[..], &["--out", "whole"]].concat(), 0);
    let large = ["--set", "run.batch=400000", "--set", "run.rows_at_once=400000"];
    [&["train"], &STEPS[..], &large, &["--out", "a", "--resume", "--allow-change"]].concat()
}

/// After the failure, the run goes on from where it was.
fn goes_on(workplace: &Workplace) {
    assert_eq!(workplace.last_step("a"), 4);
    workplace.train(&[&STEPS[..], &["--out", "a", "--resume", "--allow-change"]].concat(), 0);
    let [left, right] = ["a", "whole"].map(|run| contents(&workplace.path(run).join("final")));
    assert!(left == right);
}

#[test]
fn row_27_what_cannot_fit_is_refused_before_anything_begins() {
    let workplace = Workplace::new();
    llada_8b(&workplace.path("llada"));
    let settings = ["mdlm.toml", "--set", "model.path=llada", "--set", "data.raw=true"];
    let arguments = [&["train"], &settings[..], &["--out", "a"]].concat();
    let Some(output) = after(&workplace, "ulimit -v 40000000", &arguments) else { return };
    let error = errors(&output);
    assert_eq!(output.status.code(), Some(2), "{error}");
    // 8.016 B parameters: weights, gradients and two moments in f32.
    let expected = "optimiser state of this run need about 128.2 GB of memory, and ";
    assert!(error.contains(expected) && error.contains("hint: train an adapter"), "{error}");
    assert!(!workplace.path("a").exists());
    // A plan says the same without refusing.
    let plan = [&["train"], &settings[..], &["--dry-run", "--json"]].concat();
    let output = after(&workplace, "ulimit -v 40000000", &plan).unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
    let plan: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(plan["estimate"]["state_bytes"], 16 * 8_015_581_184u64);
    assert!(plan["room_bytes"].as_u64().unwrap() < 40_960_000_000);
    // Weights that are only to be read are refused as well.
    let generate = ["generate", "--model", "llada", "--raw", "--prompt", "1+1="];
    let output = after(&workplace, "ulimit -v 20000000", &generate).unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", errors(&output));
    let expected = "the weights of llada need about 16.0 GB of memory, and ";
    assert!(errors(&output).contains(expected), "{}", errors(&output));
}

#[test]
fn row_27_an_allocation_that_fails_is_an_error_and_no_abort() {
    let workplace = Workplace::new();
    let large = four_of_eight(&workplace);
    if Meminfo::bytes("MemAvailable").is_some_and(|bytes| bytes < 4_000_000_000) {
        println!("too little memory for a limit to be what fails: the test has not run");
        return;
    }
    let Some(output) = after(&workplace, "ulimit -v 3000000", &large) else { return };
    let error = errors(&output);
    assert_eq!((output.status.code(), output.status.signal()), (Some(1), None), "{error}");
    assert!(error.contains("warning: a step needs about "), "{error}");
    assert!(error.contains("error: out of memory: "), "{error}");
    assert!(error.contains("hint: work on fewer rows at once"), "{error}");
    goes_on(&workplace);
}

/// The kernel ends a process that a control group has no room for; the run goes on where it was.
#[test]
fn row_27_a_run_that_its_control_group_ends_goes_on() {
    let workplace = Workplace::new();
    let Some(group) = Group::new(400_000_000) else {
        println!("no memory control group can be made here: the test has not run");
        return;
    };
    let large = four_of_eight(&workplace);
    let join = format!("echo $$ > '{}'", group.path.join("cgroup.procs").display());
    let Some(output) = after(&workplace, &join, &large) else { return };
    let error = errors(&output);
    assert_eq!(output.status.signal(), Some(9), "{:?} {error}", output.status);
    assert!(error.contains("are left in this control group"), "{error}");
    goes_on(&workplace);
}

/// What Linux says of the machine's memory.
struct Meminfo;

impl Meminfo {
    fn bytes(name: &str) -> Option<u64> {
        let text = fs::read_to_string("/proc/meminfo").ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(1024 * kibibytes)
    }
}

/// A memory control group of either version, below that of this process.
struct Group {
    path: PathBuf,
}

impl Group {
    fn new(limit: u64) -> Option<Self> {
        let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
        let own = |controllers: &str| {
            groups.lines().find_map(|line| {
                let (_, rest) = line.split_once(':')?;
                rest.strip_prefix(controllers)?.strip_prefix(":/").map(str::to_owned)
            })
        };
        let name = format!("afterthought-test-{}", std::process::id());
        let places = [
            (own("memory"), "/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
            (own(""), "/sys/fs/cgroup", "memory.max"),
        ];
        places.into_iter().find_map(|(own, mount, file)| {
            let path = Path::new(mount).join(own?).join(&name);
            fs::create_dir(&path).ok()?;
            let group = Self { path };
            fs::write(group.path.join(file), limit.to_string()).ok()?;
            // Swapped out is not out of memory.
            let swap = [("memory.memsw.limit_in_bytes", limit), ("memory.swap.max", 0)];
            let limited = swap
                .iter()
                .any(|(file, value)| fs::write(group.path.join(file), value.to_string()).is_ok());
            (limited || Meminfo::bytes("SwapTotal") == Some(0)).then_some(group)
        })
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.path);
    }
}
