use std::fmt;
use std::sync::Arc;

/// Where a setting was written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    /// The file, or the flag.
    pub source: Arc<str>,
    /// Line and column (in characters), from 1; none for a flag.
    pub place: Option<(usize, usize)>,
}

impl Origin {
    /// The place of a byte of a text.
    pub(crate) fn in_text(source: &Arc<str>, text: &str, at: usize) -> Self {
        let mut at = at.min(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        let before = &text[..at];
        let line = 1 + before.matches('\n').count();
        let column = 1 + before.rsplit('\n').next().unwrap_or_default().chars().count();
        Self { source: source.clone(), place: Some((line, column)) }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Some((line, column)) => write!(formatter, "{}:{line}:{column}", self.source),
            None => formatter.write_str(&self.source),
        }
    }
}
