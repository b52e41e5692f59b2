//! What a recipe may say.

/// All that recipes of one command may say.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// What the command is called.
    pub command: &'static str,
    /// The key at the top that decides which fields apply.
    pub selector: &'static str,
    /// Keys outside every section.
    pub top: &'static [Field],
    /// The sections, in the order of the reference.
    pub sections: &'static [Section],
}

/// A table of a recipe.
#[derive(Clone, Copy, Debug)]
pub struct Section {
    /// Its name.
    pub name: &'static str,
    /// What it is about.
    pub doc: &'static str,
    /// How often it may stand there.
    pub sections: Sections,
    /// Values of the layout's selector for which there is such a section; none: for all.
    pub only: &'static [&'static str],
    /// Its keys.
    pub fields: &'static [Field],
}

/// How often a section may stand in a recipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sections {
    /// Always there, if only with its defaults.
    Always,
    /// There if the recipe has it.
    IfGiven,
    /// Any number of times (`[[name]]`); the key named here decides which fields apply.
    Repeated(&'static str),
}

/// A key of a recipe.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its name within its section.
    pub key: &'static str,
    /// What its value may be.
    pub kind: Kind,
    /// Whether it must be given.
    pub presence: Presence,
    /// Values of the selector for which it applies; none: for all.
    pub only: &'static [&'static str],
    /// What it says, in a line or two.
    pub doc: &'static str,
}

/// What a value may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// `true` or `false`.
    Flag,
    /// A whole number from the first to the second.
    Integer(u64, u64),
    /// A number from the first to the second.
    Number(f64, f64),
    /// Text that is not empty.
    Text,
    /// One of these words, each with what it means.
    Choice(&'static [(&'static str, &'static str)]),
    /// A list of texts, at least one.
    Texts,
    /// A list of texts, or this word.
    TextsOr(&'static str),
    /// A whole number from the second to the third, or this word.
    IntegerOr(&'static str, u64, u64),
    /// A table of texts by names of the user's.
    Names,
}

/// Whether a key must be given.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Presence {
    /// It must.
    Required,
    /// It need not, and then there is none.
    Optional,
    /// It need not, and then it is this, in TOML.
    Default(&'static str),
}

impl Kind {
    /// What is expected, for an error.
    pub fn expected(self) -> String {
        match self {
            Self::Flag => "true or false".into(),
            Self::Integer(low, high) => {
                format!("a whole number {}", range(low as f64, high as f64))
            }
            Self::Number(low, high) => format!("a number {}", range(low, high)),
            Self::Text => "a text".into(),
            Self::Choice(words) => {
                let words: Vec<String> =
                    words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
                match words.split_last() {
                    Some((last, [])) => last.clone(),
                    Some((last, others)) => format!("{} or {last}", others.join(", ")),
                    None => String::new(),
                }
            }
            Self::Texts => "a list of texts".into(),
            Self::TextsOr(word) => format!("a list of texts, or \"{word}\""),
            Self::IntegerOr(word, low, high) => {
                format!("a whole number {}, or \"{word}\"", range(low as f64, high as f64))
            }
            Self::Names => "a table of texts".into(),
        }
    }
}

fn range(low: f64, high: f64) -> String {
    // Bounds that only keep numbers in a register are of no interest to anyone.
    match high >= 1e12 {
        true => format!("from {low}"),
        false => format!("from {low} to {high}"),
    }
}

impl Field {
    /// Whether the field applies when the selector has this value.
    pub fn applies(&self, selected: Option<&str>) -> bool {
        applies(self.only, selected)
    }
}

impl Section {
    /// Whether the section applies when the layout's selector has this value.
    pub fn applies(&self, selected: Option<&str>) -> bool {
        applies(self.only, selected)
    }
}

/// An unknown selector is a problem of its own; nothing else shall be blamed for it.
fn applies(only: &[&str], selected: Option<&str>) -> bool {
    only.is_empty() || selected.is_none_or(|selected| only.contains(&selected))
}
