//! Models, rows and recipes that the tests share.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// A folder with a causal model `causal`, a masked-diffusion model `diffusion`, rows `rows.jsonl`
/// and `valid.jsonl`, and prompts `prompts.jsonl` with a column `answer`.
pub(crate) struct Workplace {
    folder: TempDir,
}

const SUMS: &str = "0123456789+= ";

impl Workplace {
    pub(crate) fn new() -> Self {
        let workplace = Self { folder: tempfile::tempdir().unwrap() };
        let size = ["--hidden", "32", "--heads", "2", "--layers", "2", "--intermediate", "48"];
        for (name, more) in [("causal", &["--causal"][..]), ("diffusion", &[])] {
            let new = ["model", "new", "--out", name, "--alphabet", SUMS];
            workplace.run(&[&new[..], &size, more].concat(), 0);
        }
        let row = |i: usize| (i * 7 % 50, i * 13 % 50);
        let rows = |from: usize, to: usize| -> String {
            let line = |i| {
                let (a, b) = row(i);
                format!("{{\"prompt\": \"{a}+{b}=\", \"completion\": \"{}\"}}\n", a + b)
            };
            (from..to).map(line).collect()
        };
        workplace.write("rows.jsonl", &rows(0, 90));
        workplace.write("valid.jsonl", &rows(90, 110));
        let prompts: String = (0..24)
            .map(|i| {
                let (a, b) = row(i);
                format!("{{\"prompt\": \"{a}+{b}=\", \"answer\": \"{}\"}}\n", a + b)
            })
            .collect();
        workplace.write("prompts.jsonl", &prompts);
        for method in ["sft", "mdlm", "diffu-grpo"] {
            workplace.write(&format!("{method}.toml"), &recipe(method));
        }
        workplace
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_afterthought"));
        command.args(arguments).current_dir(self.folder.path()).env("NO_COLOR", "1");
        command
    }

    /// Runs the program and checks its exit code; stdout and stderr.
    pub(crate) fn run(&self, arguments: &[&str], code: i32) -> (String, String) {
        let Output { status, stdout, stderr } = self.command(arguments).output().unwrap();
        let [stdout, stderr] = [stdout, stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        assert_eq!(status.code(), Some(code), "{arguments:?}: {stdout}\n{stderr}");
        (stdout, stderr)
    }

    pub(crate) fn train(&self, arguments: &[&str], code: i32) -> (String, String) {
        self.run(&[&["train"], arguments].concat(), code)
    }

    pub(crate) fn start(&self, arguments: &[&str]) -> Child {
        let mut command = self.command(&[&["train"], arguments].concat());
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// The step of a run's last checkpoint.
    pub(crate) fn last_step(&self, run: &str) -> u64 {
        let latest = fs::read_to_string(self.path(run).join("checkpoints/LATEST"));
        let step = latest.ok().and_then(|text| text.trim().strip_prefix("step-")?.parse().ok());
        step.unwrap_or(0)
    }
}

/// A recipe of a few small steps.
pub(crate) fn recipe(method: &str) -> String {
    let (model, data, more) = match method {
        "sft" => ("causal", "train = \"rows.jsonl\"", "batch = 8\n"),
        "mdlm" => ("diffusion", "train = \"rows.jsonl\"", "batch = 8\n"),
        _ => (
            "diffusion",
            "train = \"prompts.jsonl\"",
            "[rl]\nprompts = 3\ngroup_size = 4\ninner_updates = 2\n\
             [sampling]\ngen_length = 4\nblock_length = 4\n\
             [[rewards]]\nkind = \"regex\"\npattern = \"^[0-9]{2}\"\n\
             [[rewards]]\nkind = \"length\"\nmin = 1\nmax = 2\nmargin = 4\nweight = 0.5\n",
        ),
    };
    format!(
        "method = \"{method}\"\n[model]\npath = \"{model}\"\n[data]\n{data}\n\
         [optimizer]\nlearning_rate = 3e-3\ndecay = \"linear\"\nwarmup = 2\n\
         [run]\nsteps = 12\ncheckpoint_every = 4\n{more}"
    )
}

/// The bytes of a directory's files, by name.
pub(crate) fn contents(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<(String, Vec<u8>)> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, fs::read(path).unwrap())
        })
        .collect();
    files.sort();
    files
}

/// The lines of a run's metrics without what depends on the clock.
pub(crate) fn metrics(run: &Path) -> Vec<Value> {
    let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    text.lines()
        .map(|line| {
            let mut line: Value = serde_json::from_str(line).unwrap();
            let object = line.as_object_mut().unwrap();
            object.remove("time");
            object.remove("step_time");
            line
        })
        .collect()
}
