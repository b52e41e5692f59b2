//! Runs the program in a folder of its own, on problems and models made for the purpose.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

/// Every character of the prompts below.
const ALPHABET: &str = "abcdefghijklmnopqrstuvwxyzQAP0123456789 .,:?=+*/<>#\n";

pub(crate) fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_afterthought"));
    command.args(arguments).current_dir(folder);
    command.env("NO_COLOR", "1").env_remove("AFTERTHOUGHT_DATA");
    command
}

pub(crate) fn run(folder: &Path, arguments: &[&str]) -> Output {
    command(folder, arguments).output().unwrap()
}

/// The program at work, its output thrown away.
pub(crate) fn start(folder: &Path, arguments: &[&str]) -> Child {
    command(folder, arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// (stdout, stderr) of a command that must end with `code`.
pub(crate) fn ends(folder: &Path, arguments: &[&str], code: i32) -> (String, String) {
    let output = run(folder, arguments);
    let [stdout, stderr] =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {stderr}");
    (stdout, stderr)
}

/// The JSON document of a command that must work.
pub(crate) fn document(folder: &Path, arguments: &[&str]) -> Value {
    let (stdout, _) = ends(folder, &[arguments, &["--json"]].concat(), 0);
    serde_json::from_str(&stdout).unwrap()
}

/// stderr of a command that must be refused with nothing on stdout.
pub(crate) fn refused(folder: &Path, arguments: &[&str], code: i32) -> String {
    let (stdout, stderr) = ends(folder, arguments, code);
    assert!(stdout.is_empty(), "an error must leave stdout empty");
    assert!(stderr.starts_with("error: "), "{stderr}");
    stderr
}

/// Folder with word problems (`test.jsonl`, `train.jsonl`), a causal model `ar` and a masked-diffusion
/// model `dm` that know their characters.
pub(crate) fn workplace() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("test.jsonl"), rows(3, 12)).unwrap();
    fs::write(folder.path().join("train.jsonl"), rows(40, 20)).unwrap();
    let size = ["--hidden", "32", "--layers", "1", "--intermediate", "48"];
    for (out, kind) in [("ar", &["--causal"][..]), ("dm", &[])] {
        let new = ["model", "new", "--out", out, "--alphabet", ALPHABET];
        ends(folder.path(), &[&new[..], &size, kind].concat(), 0);
    }
    folder
}

/// Sums as rows of GSM8K's layout. Results have one digit, so that a random model hits some.
pub(crate) fn rows(from: usize, count: usize) -> String {
    let row = |i: usize| {
        let (a, b) = (i % 4, i % 5);
        let sum = a + b;
        json!({
            "question": format!("what is {a} plus {b} in row {i}?"),
            "answer": format!("{a}+{b}=<<{a}+{b}={sum}>>{sum}\n#### {sum}"),
        })
    };
    (from..from + count).map(|i| row(i).to_string() + "\n").collect()
}

/// The lines of a results file behind its header.
pub(crate) fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().skip(1).map(|line| serde_json::from_str(line).unwrap()).collect()
}
