//! The names of files and directories.

use std::ffi::OsStr;

pub(super) const MANIFEST: &str = "MANIFEST.json";
pub(super) const LATEST: &str = "LATEST";
/// The next `LATEST`, until it is whole.
pub(super) const NEXT_LATEST: &str = "tmp-LATEST";

const STEP: &str = "step-";
const TEMPORARY: &str = "tmp-";
const MAX_BYTES: usize = 200;

/// Directory of a checkpoint.
pub(super) fn checkpoint(step: u64) -> String {
    format!("{STEP}{step:08}")
}

/// Directory of a save under way.
pub(super) fn staging(step: u64) -> String {
    format!("{TEMPORARY}{step:08}")
}

/// Directory of a checkpoint that is being removed.
pub(super) fn removal(step: u64) -> String {
    format!("{TEMPORARY}removed-{step:08}")
}

/// Directory of what cannot be read and stands in the way of a checkpoint.
pub(super) fn set_aside(step: u64, attempt: u32) -> String {
    format!("unreadable-{step:08}-{attempt}")
}

/// The step of a checkpoint's directory, `None` for another name.
pub(super) fn step_of(name: &OsStr) -> Option<u64> {
    let name = name.to_str()?;
    let step = name.strip_prefix(STEP)?.parse().ok()?;
    // The one spelling that `checkpoint` writes: not "step-7", not "step-+0000007".
    (checkpoint(step) == name).then_some(step)
}

/// Whether the name is one of ours for something unfinished.
pub(super) fn is_temporary(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| name.starts_with(TEMPORARY))
}

/// What is wrong with the name of a file in a checkpoint, `None` if nothing is.
pub(super) fn problem(name: &str) -> Option<&'static str> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.is_empty() {
        Some("it is empty")
    } else if name.len() > MAX_BYTES {
        Some("it has more than 200 bytes")
    } else if !name.chars().all(allowed) {
        Some("only ASCII letters, digits, '.', '_' and '-' are allowed")
    } else if name.starts_with('.') {
        Some("it begins with a dot")
    } else if name.eq_ignore_ascii_case(MANIFEST) {
        Some("it is the manifest's")
    } else {
        None
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn steps_have_one_spelling() {
        for step in [0, 7, 99_999_999, 100_000_000, u64::MAX] {
            assert_eq!(step_of(checkpoint(step).as_ref()), Some(step));
            assert!(is_temporary(staging(step).as_ref()) && is_temporary(removal(step).as_ref()));
        }
        let wrong =
            ["step-7", "step-+0000007", "step-000000007", "step-", "tmp-00000007", "step-x"];
        assert!(wrong.iter().all(|name| step_of(name.as_ref()).is_none()));
    }

    #[test]
    fn names_that_leave_the_directory_are_refused() {
        let wrong = [
            "",
            ".",
            "..",
            "../x",
            "a/b",
            "a\\b",
            "MANIFEST.json",
            "manifest.JSON",
            ".x",
            "é",
            "a\0",
        ];
        assert!(wrong.iter().all(|name| problem(name).is_some()));
        assert!(problem(&"x".repeat(201)).is_some());
        assert!(["model.safetensors", "state_1.json", "x"].iter().all(|n| problem(n).is_none()));
    }
}
