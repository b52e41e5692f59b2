//! How runs are put into words.

use std::time::Duration;

use afterthought_runs::listing::{Kind, Run};
use serde_json::Value;

use crate::console::printable;
use crate::progress::{clock, compact};

/// What stands where there is nothing to say.
pub(super) const NOTHING: &str = "–";

/// Text from a file in one line of a terminal.
pub(super) fn one_line(text: &str) -> String {
    printable(text).replace('\n', "\\n").replace('\t', "\\t")
}

/// `train diffu-grpo`, `reproduce d1`.
pub(super) fn what(run: &Run) -> String {
    match (run.kind, &run.method) {
        (Kind::Train, Some(method)) => one_line(&format!("train {method}")),
        (Kind::Train, None) => "train".to_owned(),
        (Kind::Reproduce, _) => one_line(&run.command),
    }
}

/// `120 of 300`, or the number of finished stages.
pub(super) fn progress(run: &Run) -> String {
    match (run.kind, run.step, run.total_steps) {
        (Kind::Reproduce, _, _) => format!("{} stages", run.stages.len()),
        (_, Some(step), Some(total)) => format!("{step} of {total}"),
        (_, Some(step), None) => step.to_string(),
        (_, None, Some(total)) => format!("{NOTHING} of {total}"),
        (_, None, None) => NOTHING.to_owned(),
    }
}

/// Seconds as a clock shows them.
pub(super) fn seconds(seconds: Option<f64>) -> String {
    let duration = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    duration.map_or(NOTHING.to_owned(), clock)
}

/// A metric's value in few characters.
pub(super) fn number(value: f64) -> String {
    if value.is_finite() { compact(value) } else { "not finite".to_owned() }
}

/// A setting of a recipe.
pub(super) fn setting(value: &Value) -> String {
    match value {
        Value::String(text) => one_line(text),
        other => one_line(&other.to_string()),
    }
}

/// A command line that a POSIX shell reads back as these arguments.
pub(super) fn shell(arguments: &[String]) -> String {
    let quoted = arguments.iter().map(|argument| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./=:,+@%".contains(&byte);
        match !argument.is_empty() && argument.bytes().all(plain) {
            true => argument.clone(),
            false => format!("'{}'", argument.replace('\'', "'\\''")),
        }
    });
    let words: Vec<String> = std::iter::once("afterthought".to_owned()).chain(quoted).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_break_a_line_or_drive_the_terminal() {
        assert_eq!(one_line("a\nb\tc\u{1b}[2J"), "a\\nb\\tc\\u{1b}[2J");
    }

    #[test]
    fn row_28_a_shell_reads_back_what_is_quoted() {
        let arguments = ["train", "with spaces/it's π", "--out", "a\nb", "$HOME", ""];
        let line = shell(&arguments.map(str::to_owned));
        let script = format!("afterthought() {{ printf '%s|' \"$@\"; }}; {line}");
        let output = std::process::Command::new("sh").args(["-c", &script]).output();
        let printed = output.map(|output| output.stdout).unwrap_or_default();
        assert_eq!(String::from_utf8_lossy(&printed), arguments.join("|") + "|");
    }
}
