//! `afterthought doctor`, run as a program.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::process::{Command, Output};

use serde_json::Value;

fn doctor(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_afterthought")).arg("doctor").args(arguments).output().unwrap()
}

fn document(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn it_names_kernels_memory_threads_limits_and_room() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("not there yet");
    let output = doctor(&["--json", "--out", out.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let found = document(&output);
    assert_eq!(found["ok"], true);
    for (part, keys) in [
        ("machine", &["processor", "cores", "memory_bytes", "os", "features"][..]),
        ("memory", &["total_bytes", "free_bytes", "available_bytes", "swap_free_bytes"]),
        ("limits", &["memory_bytes", "memory_used_bytes", "memory_reclaimable_bytes", "cpus"]),
        ("kernels", &["fused", "vectors", "bf16", "precision"]),
    ] {
        let object = found[part].as_object().unwrap();
        assert_eq!(object.keys().collect::<Vec<_>>(), keys, "{part}");
    }
    assert!(found["threads"].as_u64().unwrap() >= 1);
    assert_eq!(found["directories"][0]["path"], folder.path().to_str().unwrap());
    assert!(found["directories"][0]["free_bytes"].as_u64().unwrap() > 0);
    // An instruction set that the kernels use is one that the processor has.
    let features = found["machine"]["features"].as_array().unwrap();
    let has = |name: &str| features.iter().any(|feature| feature == name);
    if cfg!(target_arch = "x86_64") && !features.is_empty() {
        assert_eq!(found["kernels"]["bf16"] == "AMX tiles", has("amx_bf16"));
        assert!(has("avx2") || found["kernels"]["vectors"] == "the baseline of x86-64");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left behind");
}

#[test]
fn the_precision_is_tested_against_sums_in_f64() {
    let found = document(&doctor(&["--json"]));
    let checks = found["checks"].as_array().unwrap();
    let names: Vec<&str> = checks.iter().map(|check| check["name"].as_str().unwrap()).collect();
    assert!(checks.len() >= 8 && checks.iter().all(|check| check["ok"] == true), "{checks:?}");
    assert!(names.contains(&"linear, f64 sums"), "{names:?}");
    assert_eq!(names.contains(&"linear, bf16"), !found["kernels"]["bf16"].is_null());
}

#[cfg(target_os = "linux")]
#[test]
fn row_16_a_directory_that_takes_no_file_is_found_before_a_run_begins() {
    // Nobody may write there, root included.
    let output = doctor(&["--json", "--out", "/proc/self"]);
    assert_eq!(output.status.code(), Some(1));
    let found = document(&output);
    assert!(found["directories"][0]["problem"].is_string() && found["ok"] == false);
    assert!(String::from_utf8_lossy(&output.stderr).contains("checks failed: output"));
}

#[test]
fn row_28_no_home_no_colour_no_locale() {
    let output = Command::new(env!("CARGO_BIN_EXE_afterthought"))
        .arg("doctor")
        .env_clear()
        .envs([("NO_COLOR", "1"), ("LC_ALL", "C")])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("can run at once") && !text.contains('\u{1b}'), "{text}");
}
