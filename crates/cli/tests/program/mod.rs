//! Runs the program in a folder of its own.
#![allow(dead_code, reason = "every test program uses its own part of this")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

pub(crate) fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_afterthought"));
    command.args(arguments).current_dir(folder);
    command.env("NO_COLOR", "1").env_remove("AFTERTHOUGHT_DATA");
    command
}

pub(crate) fn run(folder: &Path, arguments: &[&str]) -> Output {
    command(folder, arguments).output().unwrap()
}

/// (stdout, stderr) of a command that must end with `code`.
pub(crate) fn ends(folder: &Path, arguments: &[&str], code: i32) -> (String, String) {
    let output = run(folder, arguments);
    let [stdout, stderr] =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {stdout}{stderr}");
    (stdout, stderr)
}

/// The JSON document of a command that must end with `code`.
pub(crate) fn document_of(folder: &Path, arguments: &[&str], code: i32) -> Value {
    let (stdout, _) = ends(folder, &[arguments, &["--json"]].concat(), code);
    serde_json::from_str(&stdout).unwrap()
}

/// The JSON document of a command that must work.
pub(crate) fn document(folder: &Path, arguments: &[&str]) -> Value {
    document_of(folder, arguments, 0)
}

/// stderr of a command that must be refused with nothing on stdout.
pub(crate) fn refused(folder: &Path, arguments: &[&str], code: i32) -> String {
    let (stdout, stderr) = ends(folder, arguments, code);
    assert!(stdout.is_empty(), "an error must leave stdout empty");
    assert!(stderr.starts_with("error: "), "{stderr}");
    stderr
}

/// A small character-level model of random weights in a new directory of `folder`.
pub(crate) fn new_model(folder: &Path, name: &str, alphabet: &str, flags: &[&str]) {
    let new = ["model", "new", "--out", name, "--alphabet", alphabet];
    let size = ["--hidden", "32", "--intermediate", "48"];
    let layers: &[&str] = if flags.contains(&"--layers") { &[] } else { &["--layers", "1"] };
    ends(folder, &[&new[..], &size, layers, flags].concat(), 0);
}

/// A model directory under the tests of another crate.
pub(crate) fn golden(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// Copies the files of a directory into a new one.
pub(crate) fn copy_files(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.path().is_file() {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

/// The bytes of a tensor of a safetensors file, and its shape.
pub(crate) fn tensor(path: &Path, name: &str) -> (Vec<u8>, Vec<usize>) {
    let bytes = fs::read(path).unwrap();
    let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let json: Value = serde_json::from_slice(&bytes[8..8 + header]).unwrap();
    let at = |end: usize| json[name]["data_offsets"][end].as_u64().unwrap() as usize;
    let values = bytes[8 + header + at(0)..8 + header + at(1)].to_vec();
    let shape = json[name]["shape"].as_array().unwrap();
    (values, shape.iter().map(|size| size.as_u64().unwrap() as usize).collect())
}

/// The values and the shape of the f32 tensor `logits` of a file.
pub(crate) fn logits(path: &Path) -> (Vec<f32>, Vec<usize>) {
    let (bytes, shape) = tensor(path, "logits");
    let values = bytes.as_chunks::<4>().0.iter().map(|value| f32::from_le_bytes(*value));
    (values.collect(), shape)
}
