//! Row 28 of the fault table.

use std::process::Stdio;

use crate::folder::{Folder, recipe};

#[test]
fn row_28_no_home_no_terminal_no_colour_no_locale_no_temporary_folder() {
    let folder = Folder::new();
    folder.train("grpo", recipe(0.04), "complete", 4, 0.1);
    for arguments in [&["list"][..], &["show", "grpo"], &["show", "grpo", "--report", "--quiet"]] {
        let output = folder
            .command(arguments)
            .env_clear()
            .envs([
                ("NO_COLOR", "1"),
                ("LC_ALL", "C"),
                ("TMPDIR", "/nonexistent"),
                ("TZ", "nowhere"),
            ])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert!(output.stderr.is_empty(), "{output:?}");
        let stdout = String::from_utf8(output.stdout).unwrap();
        assert!(stdout.contains("grpo") && !stdout.contains('\u{1b}'), "{stdout}");
    }
}

#[test]
fn row_28_a_path_with_spaces_other_scripts_quotes_and_a_newline() {
    let folder = Folder::new();
    let name = "it's π 模型\nsecond line \u{1b}[31m";
    folder.train(name, recipe(0.04), "interrupted", 4, 0.1);
    let list = folder.result(&["list"]);
    assert!(list.contains("it's π 模型\\nsecond line \\u{1b}[31m"), "{list}");
    assert!(!list.contains('\u{1b}'));
    assert_eq!(list.lines().count(), 3, "one line a run: {list}");
    folder.result(&["show", name]);
    folder.result(&["compare", name, &format!("runs/{name}")]);
    let output = folder.run(&["show", name, "--report"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(folder.run_path(name).join("report.html").exists());
    let document = folder.document(&["list"]);
    assert_eq!(document["runs"][0]["name"], name);
}

#[cfg(unix)]
#[test]
fn row_28_a_name_that_is_not_unicode() {
    use std::os::unix::ffi::OsStrExt;
    let folder = Folder::new();
    folder.train("plain", recipe(0.04), "complete", 4, 0.1);
    let strange = folder.path().join("runs").join(std::ffi::OsStr::from_bytes(b"\xff\xfe"));
    std::fs::rename(folder.run_path("plain"), &strange).unwrap();
    assert!(folder.result(&["list"]).contains("\u{fffd}\u{fffd}"));
    assert_eq!(folder.document(&["list"])["runs"].as_array().unwrap().len(), 1);
}

#[test]
fn row_28_a_reader_that_stops_early() {
    let folder = Folder::new();
    folder.train("grpo", recipe(0.04), "complete", 4, 0.1);
    let mut child = folder
        .command(&["show", "grpo"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.stderr.is_empty() && output.status.code() == Some(0), "{output:?}");
}
