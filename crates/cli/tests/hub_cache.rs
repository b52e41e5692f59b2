//! `--model owner/name`: models of a Hugging Face cache, offline.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod program;

use std::fs;
use std::path::Path;
use std::process::Output;

use program::{command, copy_files, new_model};
use serde_json::Value;
use tempfile::TempDir;

/// A folder with a model `model`, and a cache `cache` that has it as `some-one/a.model`: a snapshot of
/// links to blobs, as `huggingface_hub` lays it out.
fn workplace() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    new_model(folder.path(), "model", "abcdefgh", &["--causal"]);
    let repository = folder.path().join("cache/models--some-one--a.model");
    let (blobs, snapshot) = (repository.join("blobs"), repository.join("snapshots/0123abcd"));
    fs::create_dir_all(repository.join("refs")).unwrap();
    fs::write(repository.join("refs/main"), "0123abcd").unwrap();
    copy_files(&folder.path().join("model"), &blobs);
    fs::create_dir_all(&snapshot).unwrap();
    for entry in fs::read_dir(&blobs).unwrap() {
        link(&entry.unwrap().file_name(), &snapshot);
    }
    folder
}

#[cfg(unix)]
fn link(name: &std::ffi::OsStr, snapshot: &Path) {
    let target = Path::new("../../blobs").join(name);
    std::os::unix::fs::symlink(target, snapshot.join(name)).unwrap();
}

#[cfg(not(unix))]
fn link(name: &std::ffi::OsStr, snapshot: &Path) {
    fs::copy(snapshot.join("../../blobs").join(name), snapshot.join(name)).unwrap();
}

/// Runs a command that finds a cache by one variable.
fn run(folder: &Path, variable: (&str, &str), arguments: &[&str]) -> Output {
    let mut command = command(folder, arguments);
    for name in ["HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "XDG_CACHE_HOME"] {
        command.env_remove(name);
    }
    command.env("HOME", folder.join("home")).env("HF_HUB_OFFLINE", "1");
    command.env(variable.0, folder.join(variable.1)).output().unwrap()
}

fn document(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_model_of_the_cache_is_that_of_its_directory() {
    let folder = workplace();
    let cache = ("HF_HUB_CACHE", "cache");
    fs::write(folder.path().join("rows.jsonl"), "{\"prompt\": \"abc\"}\n").unwrap();
    let of = |model: &str, before: &[&str], after: &[&str]| {
        let arguments = [before, &[model], after].concat();
        run(folder.path(), cache, &arguments)
    };
    let generate = |model: &str| {
        let output = of(model, &["generate", "--prompt", "abc", "--json", "--model"], &[]);
        document(&output)["generations"][0]["completion"].clone()
    };
    assert_eq!(generate("some-one/a.model"), generate("model"));
    let info = document(&of("some-one/a.model", &["model", "info", "--json"], &[]));
    assert!(info["model"].as_str().unwrap().ends_with("snapshots/0123abcd"));
    let check = of("some-one/a.model", &["model", "check", "--json", "--model"], &[]);
    assert_eq!(document(&check)["ok"], true);
    fs::write(folder.path().join("ids.json"), "[[5, 6]]").unwrap();
    let logits = ["model", "logits", "--ids", "ids.json", "--out", "l.safetensors", "--model"];
    assert!(of("some-one/a.model", &logits, &[]).status.success());
    let preview = ["data", "preview", "rows.jsonl", "--json", "--model"];
    assert_eq!(document(&of("some-one/a.model", &preview, &[]))["rows"][0]["line"], 1);
    let eval = ["eval", "--task", "countdown", "--limit", "1", "--out", "r.jsonl", "--model"];
    let output = of("some-one/a.model", &eval, &[]);
    // The alphabet lacks the words of the task; the model was found and opened.
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(stderr.contains("does not know"), "{stderr}");
}

#[test]
fn the_cache_is_found_by_every_variable() {
    let folder = workplace();
    let model = "some-one/a.model";
    let info = ["model", "info", model];
    assert!(run(folder.path(), ("HUGGINGFACE_HUB_CACHE", "cache"), &info).status.success());
    fs::create_dir_all(folder.path().join("hf")).unwrap();
    fs::rename(folder.path().join("cache"), folder.path().join("hf/hub")).unwrap();
    assert!(run(folder.path(), ("HF_HOME", "hf"), &info).status.success());
    fs::create_dir_all(folder.path().join("home/.cache")).unwrap();
    let default = folder.path().join("home/.cache/huggingface");
    fs::rename(folder.path().join("hf"), default).unwrap();
    assert!(run(folder.path(), ("UNRELATED", "x"), &info).status.success());
}

#[test]
fn a_model_that_is_nowhere_is_named_with_what_to_do() {
    let folder = workplace();
    let cache = ("HF_HUB_CACHE", "cache");
    let refused = |model: &str| {
        let output = run(folder.path(), cache, &["model", "info", model]);
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8(output.stderr).unwrap()
    };
    let stderr = refused("some-one/another");
    assert!(stderr.contains("neither a directory nor a model in the Hugging Face cache"));
    let hint = if cfg!(feature = "hub") { "HF_HUB_OFFLINE" } else { "--features hub" };
    assert!(stderr.contains(hint), "{stderr}");
    // A path with a slip in it stays a path.
    fs::create_dir_all(folder.path().join("models/base")).unwrap();
    assert!(refused("models/bsae").contains("did you mean models/base"));
    // A download that was cut short is not a model.
    let snapshot = folder.path().join("cache/models--some-one--a.model/snapshots/0123abcd");
    fs::remove_file(snapshot.join("config.json")).unwrap();
    assert!(refused("some-one/a.model").contains("neither a directory nor a model"));
}
