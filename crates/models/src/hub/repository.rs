use std::fmt;
use std::path::{Path, PathBuf};

/// Most characters of a name; the hub allows 96.
const LONGEST: usize = 96;

/// The name of a model on the Hugging Face hub, `owner/name`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    owner: String,
    name: String,
}

impl Repository {
    /// Reads `owner/name`; `None` for what the hub would not take as one: it allows letters, digits,
    /// `-`, `_` and `.`, no `--` and no `..`, and neither `-` nor `.` at an end.
    pub fn parse(text: &str) -> Option<Self> {
        let (owner, name) = text.split_once('/')?;
        let valid = [owner, name].iter().all(|part| is_valid(part)) && !name.ends_with(".git");
        valid.then(|| Self { owner: owner.to_owned(), name: name.to_owned() })
    }

    /// The user or organisation.
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// The name among the owner's models.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its directory in a Hugging Face cache, whether it is there or not; see
    /// [`model_directory`](super::model_directory).
    pub fn in_cache(&self, cache: &Path) -> PathBuf {
        cache.join(format!("models--{}--{}", self.owner, self.name))
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.owner, self.name)
    }
}

fn is_valid(part: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let edge = |c: char| matches!(c, '-' | '.');
    (1..=LONGEST).contains(&part.len())
        && part.chars().all(allowed)
        && !part.starts_with(edge)
        && !part.ends_with(edge)
        && !part.contains("--")
        && !part.contains("..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_the_hub_takes() {
        let of = |text| Repository::parse(text).map(|it| it.in_cache(Path::new("c")));
        assert_eq!(of("Qwen/Qwen3-0.6B"), Some(PathBuf::from("c/models--Qwen--Qwen3-0.6B")));
        for wrong in
            ["", "a", "a/", "/a", "a/b/c", "../b", "a/..", ".a/b", "a/b-", "a--b/c", "a/b c"]
        {
            assert_eq!(of(wrong), None, "{wrong}");
        }
    }
}
