//! Every exit code of the binary, and how an error becomes one.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

/// What the exit code tells the shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// The command did what it was asked.
    Done = 0,
    /// The command started and could not finish.
    Failed = 1,
    /// The request itself is wrong: a flag, a path, a recipe key, a configuration.
    Usage = 2,
    /// Stopped by a signal after a checkpoint was written: run the same command again.
    Interrupted = 3,
    /// The run directory already holds the finished result; nothing was computed.
    AlreadyComplete = 4,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// The request is wrong and the user can put it right: exit code 2.
///
/// Wrap the error of a library in one where its cause is what the user wrote (a path that does
/// not exist, an unknown name), or raise one directly. The hint says what to do next.
#[derive(Debug)]
pub(crate) struct UsageError {
    message: String,
    hint: Option<String>,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl UsageError {
    /// A usage error that is its own cause.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, source: None }
    }

    /// A usage error caused by `source`, which stays in the printed chain.
    pub(crate) fn caused_by(
        message: impl Into<String>,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self { message: message.into(), hint: None, source: Some(source.into()) }
    }

    /// Adds the line printed after `hint:`.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for UsageError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl Error for UsageError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}

/// A signal arrived, the state is safe in `checkpoint`: exit code 3.
#[derive(Debug, thiserror::Error)]
#[error("interrupted; the state is saved in {}", checkpoint.display())]
pub(crate) struct Interrupted {
    /// What the same command continues from.
    pub(crate) checkpoint: PathBuf,
}

/// The directory already holds the finished result of this request: exit code 4.
#[derive(Debug, thiserror::Error)]
#[error("{} already holds the finished result of this command", directory.display())]
pub(crate) struct AlreadyComplete {
    /// The finished run.
    pub(crate) directory: PathBuf,
}

/// An error with a hint that changes neither its message nor its exit code; made by [`hinted`].
#[derive(Debug)]
struct Hinted {
    hint: String,
    error: anyhow::Error,
}

impl fmt::Display for Hinted {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(formatter)
    }
}

impl Error for Hinted {
    // The wrapper shows the message of the error it carries, so the chain goes on beneath that.
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.error.source()
    }
}

/// Gives a failure (exit code 1) a `hint:` line without changing its message or causes.
pub(crate) fn hinted(error: impl Into<anyhow::Error>, hint: impl Into<String>) -> anyhow::Error {
    anyhow::Error::new(Hinted { hint: hint.into(), error: error.into() })
}

/// The exit code of an error: the first cause in its chain that has one, else 1.
pub(crate) fn exit_of(error: &anyhow::Error) -> Exit {
    if find::<AlreadyComplete>(error).is_some() {
        Exit::AlreadyComplete
    } else if find::<Interrupted>(error).is_some() {
        Exit::Interrupted
    } else if find::<UsageError>(error).is_some() {
        Exit::Usage
    } else if find::<io::Error>(error).is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe) {
        // The reader of our output (`| head`) has all it wants: nothing failed.
        Exit::Done
    } else {
        Exit::Failed
    }
}

/// The text for stderr: `error:`, one line a cause, and a `hint:` if any cause has one.
///
/// `color` adds ANSI colours to the labels. Empty when the error maps to [`Exit::Done`].
pub(crate) fn explain(error: &anyhow::Error, color: bool) -> String {
    let exit = exit_of(error);
    if exit == Exit::Done {
        return String::new();
    }
    let paint = |label: &str, code: &str| match color {
        true => format!("\u{1b}[1;{code}m{label}\u{1b}[0m"),
        false => label.to_owned(),
    };
    let headline = match exit {
        Exit::Interrupted | Exit::AlreadyComplete => paint("note:", "33"),
        _ => paint("error:", "31"),
    };
    let mut text = format!("{headline} {error}\n");
    for cause in error.chain().skip(1) {
        text.push_str(&format!("  caused by: {cause}\n"));
    }
    let hint = find::<UsageError>(error)
        .and_then(|usage| usage.hint.as_deref())
        .or_else(|| find::<Hinted>(error).map(|hinted| hinted.hint.as_str()))
        .or(match exit {
            Exit::Interrupted => Some("run the same command again to continue"),
            _ => None,
        });
    if let Some(hint) = hint {
        text.push_str(&format!("{} {hint}\n", paint("hint:", "36")));
    }
    text
}

/// The error of type `E` in an error: given as context, at its root, or deeper in its sources.
fn find<E: Error + Send + Sync + 'static>(error: &anyhow::Error) -> Option<&E> {
    error.downcast_ref::<E>().or_else(|| {
        error.chain().find_map(|cause| {
            cause.downcast_ref::<E>().or_else(|| {
                let hinted = cause.downcast_ref::<Hinted>()?;
                hinted.error.downcast_ref::<E>()
            })
        })
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn codes_are_the_documented_numbers() {
        let numbers =
            [Exit::Done, Exit::Failed, Exit::Usage, Exit::Interrupted, Exit::AlreadyComplete]
                .map(|exit| exit as u8);
        assert_eq!(numbers, [0, 1, 2, 3, 4]);
    }

    #[test]
    fn a_cause_anywhere_in_the_chain_decides() {
        let plain = anyhow::anyhow!("disk full");
        assert_eq!(exit_of(&plain), Exit::Failed);

        let root = anyhow::Error::new(UsageError::new("no such task")).context("outer");
        assert_eq!(exit_of(&root), Exit::Usage);

        let context = Err::<(), _>(io::Error::other("x"))
            .context(UsageError::new("bad path"))
            .context("outer")
            .unwrap_err();
        assert_eq!(exit_of(&context), Exit::Usage);

        #[derive(Debug, thiserror::Error)]
        #[error("recipe")]
        struct Library(#[source] UsageError);
        let nested = anyhow::Error::new(Library(UsageError::new("unknown key")));
        assert_eq!(exit_of(&nested), Exit::Usage);

        let stopped = Interrupted { checkpoint: "runs/a".into() };
        assert_eq!(exit_of(&anyhow::Error::new(stopped)), Exit::Interrupted);
        let complete = AlreadyComplete { directory: "runs/a".into() };
        assert_eq!(exit_of(&anyhow::Error::new(complete)), Exit::AlreadyComplete);
    }

    #[test]
    fn a_closed_pipe_is_not_a_failure() {
        let closed = anyhow::Error::new(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!(exit_of(&closed), Exit::Done);
        assert_eq!(explain(&closed, false), "");
    }

    #[test]
    fn the_explanation_lists_causes_and_the_hint() {
        let error = anyhow::Error::new(
            UsageError::caused_by("cannot read a.json", io::Error::other("permission denied"))
                .hint("check the path"),
        );
        assert_eq!(
            explain(&error, false),
            "error: cannot read a.json\n  caused by: permission denied\nhint: check the path\n"
        );
        assert!(explain(&error, true).contains("\u{1b}[1;31merror:\u{1b}[0m"));
    }

    #[test]
    fn a_hinted_failure_keeps_its_message_code_and_causes() {
        let cause = anyhow::Error::new(io::Error::other("root")).context("middle");
        let error = hinted(cause, "free some space").context("outer");
        assert_eq!(exit_of(&error), Exit::Failed);
        assert_eq!(
            explain(&error, false),
            "error: outer\n  caused by: middle\n  caused by: root\nhint: free some space\n"
        );
        let usage = hinted(UsageError::new("bad flag"), "see --help");
        assert_eq!(exit_of(&usage), Exit::Usage);
    }
}
