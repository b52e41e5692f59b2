use crate::Error;
use fancy_regex::Regex;

/// A regular expression of an adapter's config, as Python's `re` reads it.
#[derive(Clone, Debug)]
pub(crate) struct Pattern<'a> {
    key: &'a str,
    regex: Regex,
}

impl<'a> Pattern<'a> {
    /// `regex` is the whole expression, `key` the setting it came from.
    ///
    /// # Errors
    /// [`Error::Setting`] if it is not a regular expression.
    pub(crate) fn new(key: &'a str, regex: &str) -> Result<Self, Error> {
        let regex = Regex::new(regex).map_err(|error| Error::Setting {
            key: key.into(),
            problem: format!("holds {regex:?}, which is no regular expression: {error}"),
        })?;
        Ok(Self { key, regex })
    }

    /// One that the whole text must match (`re.fullmatch`).
    pub(crate) fn full(key: &'a str, regex: &str) -> Result<Self, Error> {
        Self::new(key, &format!(r"\A(?:{regex})\z"))
    }

    /// One that matches the end of a module path from the beginning of a component, as the keys of
    /// `rank_pattern` and `alpha_pattern` do.
    pub(crate) fn suffix(key: &'a str, regex: &str) -> Result<Self, Error> {
        Self::new(key, &format!(r"\A(?:.*\.)?(?:{regex})\z"))
    }

    /// Whether `text` matches.
    ///
    /// # Errors
    /// [`Error::Setting`] if the expression needs too much backtracking to tell.
    pub(crate) fn matches(&self, text: &str) -> Result<bool, Error> {
        self.regex.is_match(text).map_err(|error| self.failed(text, &error))
    }

    /// The number that the first group matched, if the expression matches.
    ///
    /// # Errors
    /// Those of [`Self::matches`].
    pub(crate) fn number(&self, text: &str) -> Result<Option<usize>, Error> {
        let captures = self.regex.captures(text).map_err(|error| self.failed(text, &error))?;
        let group = captures.as_ref().and_then(|captures| captures.name("index"));
        Ok(group.and_then(|group| group.as_str().parse().ok()))
    }

    fn failed(&self, text: &str, error: &fancy_regex::Error) -> Error {
        Error::Setting {
            key: self.key.into(),
            problem: format!("cannot be matched against {text:?}: {error}"),
        }
    }
}
