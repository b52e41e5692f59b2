use std::fmt;
use std::sync::Arc;

/// One line that a reward wants to be seen, without escape sequences or control characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogLine<'a> {
    /// The reward's name.
    pub reward: &'a str,
    /// What an external process wrote to its stderr, or what was done about a failure.
    pub text: &'a str,
}

/// Where such lines go. It is called from threads that read a process's stderr.
#[derive(Clone)]
pub struct Log(Arc<dyn Fn(LogLine<'_>) + Send + Sync>);

impl Log {
    /// Hands every line to `sink`.
    pub fn new(sink: impl Fn(LogLine<'_>) + Send + Sync + 'static) -> Self {
        Self(Arc::new(sink))
    }

    /// Drops every line. What matters of them is in the errors too.
    pub fn silent() -> Self {
        Self::new(|_| {})
    }

    pub(crate) fn line(&self, reward: &str, text: &str) {
        (self.0)(LogLine { reward, text });
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Log")
    }
}
