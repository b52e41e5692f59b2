//! A folder with invented runs, and the program run beside it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use afterthought_runs::log::{Completion, RunLog};
use serde_json::{Map, Value, json};

/// A folder; the program runs in it and finds `runs/`.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("runs")).unwrap();
        Self(folder)
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn run_path(&self, name: &str) -> PathBuf {
        self.path().join("runs").join(name)
    }

    /// A run of `train` that earned `gain` a step, with a completion in its first and last step.
    pub(crate) fn train(&self, name: &str, recipe: Value, status: &str, steps: u64, gain: f64) {
        let run = self.run_path(name);
        fs::create_dir_all(run.join("checkpoints/step-00000002")).unwrap();
        let about = json!({
            "schema": "afterthought.run/1", "command": "train", "program": "0.1.0",
            "method": "diffu-grpo", "model": "models/base", "recipe": recipe,
            "created": "2026-11-27T09:14:03Z", "total_steps": 10,
            "machine": {"processor": "Example Processor", "cores": 2, "memory_bytes": null,
                        "os": "linux x86_64", "features": []},
        });
        fs::write(run.join("run.json"), about.to_string()).unwrap();
        let state = json!({"status": status, "step": steps, "updated": "2026-11-27T09:20:00Z"});
        fs::write(run.join("state.json"), state.to_string()).unwrap();
        let (mut log, _) = RunLog::open(&run, None).unwrap();
        for step in 1..=steps {
            let reward = gain * step as f64;
            let kl = 0.001 * step as f64;
            let notices = log.scalars(step, &[("loss", 0.0), ("reward", reward), ("kl", kl)]);
            assert_eq!(notices, []);
            if step == 1 || step == steps {
                log.completions(step, &completions(reward));
            }
        }
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_afterthought"));
        command.arg("runs").args(arguments).current_dir(self.path()).env_remove("NO_COLOR");
        command
    }

    /// The stdout of a command that must work and say nothing else.
    pub(crate) fn result(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        assert_eq!(output.status.code(), Some(0));
        String::from_utf8(output.stdout).unwrap()
    }

    pub(crate) fn document(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.result(&[arguments, &["--json"]].concat())).unwrap()
    }

    /// The stderr of a command that must be refused as wrongly asked.
    pub(crate) fn refused(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(output.stdout.is_empty());
        String::from_utf8(output.stderr).unwrap()
    }
}

pub(crate) fn recipe(beta: f64) -> Value {
    json!({"name": "countdown", "seed": 7, "objective": {"beta": beta, "mu": 4}})
}

fn completions(reward: f64) -> Vec<Completion> {
    let completion = |text: &str, reward: f64| Completion {
        prompt: "3, 4, 7 to 25 <script>alert(1)</script>".into(),
        completion: text.into(),
        reward: Some(reward),
        parts: Map::from_iter([("accuracy".to_owned(), json!(reward))]),
        more: Map::new(),
    };
    vec![completion("7 * 3 + 4", reward), completion("\u{1b}[31m7 + 3", reward / 2.0)]
}
