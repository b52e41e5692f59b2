use serde_json::{Map, Value};

use super::locate::{Step, locate};
use super::problem::{Finding, ProblemKind};
use super::turns;
use crate::message::Message;

/// One row: what a model is given and should answer, and further columns.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// The text of the row.
    pub content: Content,
    /// All other columns, such as those that a reward needs, in the order of the file.
    pub columns: Map<String, Value>,
}

/// The three formats of rows.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// `messages`: a conversation, of which the assistant's turns are learnt.
    Messages(Vec<Message>),
    /// `prompt` and `completion`, of which the completion is learnt.
    Completion {
        /// What the model is given.
        prompt: String,
        /// What it should answer.
        completion: String,
    },
    /// `prompt` alone: what is answered is judged by a reward.
    Prompt(String),
}

/// The name of a format of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `messages`.
    Messages,
    /// `prompt` and `completion`.
    Completion,
    /// `prompt`.
    Prompt,
}

impl Format {
    /// The columns that make the format.
    pub fn name(self) -> &'static str {
        match self {
            Self::Messages => "messages",
            Self::Completion => "prompt and completion",
            Self::Prompt => "prompt",
        }
    }
}

impl Content {
    /// Which format this is.
    pub fn format(&self) -> Format {
        match self {
            Self::Messages(_) => Format::Messages,
            Self::Completion { .. } => Format::Completion,
            Self::Prompt(_) => Format::Prompt,
        }
    }
}

impl Record {
    /// A row of nothing but a prompt.
    pub fn prompt(prompt: impl Into<String>) -> Self {
        Self { content: Content::Prompt(prompt.into()), columns: Map::new() }
    }

    /// The tools that a conversation may call: the column `tools`, if it is a list.
    pub fn tools(&self) -> &[Value] {
        self.columns.get("tools").and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    /// From the object on a line; `text` is the line, for the places of what is wrong with it.
    pub(super) fn from_json(mut object: Map<String, Value>, text: &str) -> Result<Self, Finding> {
        let fail = |kind, path: &[Step<'_>], message: String| {
            Err(Finding::new(kind, locate(text, path), message))
        };
        // A column that is null counts as absent.
        let [messages, prompt, completion] = ["messages", "prompt", "completion"]
            .map(|key| object.shift_remove(key).filter(|value| !value.is_null()));
        let content = match (messages, prompt, completion) {
            (Some(messages), None, None) => Content::Messages(turns::read(messages, text)?),
            (Some(_), ..) => {
                let message = "has `messages` and also `prompt` or `completion`".to_owned();
                return fail(ProblemKind::MixedFormats, &[Step::Key("messages")], message);
            }
            (None, Some(prompt), None) => Content::Prompt(words(prompt, "prompt", text)?),
            (None, Some(prompt), Some(completion)) => Content::Completion {
                prompt: words(prompt, "prompt", text)?,
                completion: words(completion, "completion", text)?,
            },
            (None, None, completion) => {
                let found: Vec<&str> = object.keys().map(String::as_str).take(8).collect();
                let missing = match completion {
                    Some(_) => "`completion` without `prompt`".to_owned(),
                    None => format!("no `messages` and no `prompt`, only {found:?}"),
                };
                return fail(ProblemKind::MissingColumn, &[], missing);
            }
        };
        if object.get("tools").is_some_and(|tools| !tools.is_array() && !tools.is_null()) {
            let message = "`tools` is not a list".to_owned();
            return fail(ProblemKind::WrongType, &[Step::Key("tools")], message);
        }
        Ok(Self { content, columns: object })
    }
}

/// A text with at least one visible character.
fn words(value: Value, key: &'static str, text: &str) -> Result<String, Finding> {
    let fail = |kind, message| Err(Finding::new(kind, locate(text, &[Step::Key(key)]), message));
    match value {
        Value::String(words) if words.trim().is_empty() => {
            fail(ProblemKind::EmptyContent, format!("`{key}` is empty"))
        }
        Value::String(words) if words.contains('\0') => {
            fail(ProblemKind::Nul, format!("`{key}` has a NUL character"))
        }
        Value::String(words) => Ok(words),
        other => fail(
            ProblemKind::WrongType,
            format!("`{key}` is {}, expected a string", type_name(&other)),
        ),
    }
}

/// What a value is, in words.
pub(super) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
