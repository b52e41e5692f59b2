use std::path::Path;

use serde_json::{Map, Value};

use super::clock;
use super::compiled::Compiled;
use super::environment::Rendering;
use super::files;
use crate::Error;
use crate::message::Message;

/// How a model wants conversations written: a Jinja template, as transformers renders it.
///
/// Rendering is bounded in instructions, output, recursion and time. A template still is code of
/// whoever made the model: never take one from a request.
#[derive(Clone, Debug)]
pub struct ChatTemplate {
    default: Compiled,
    tool_use: Option<Compiled>,
    variables: Map<String, Value>,
    now: Option<u64>,
}

impl ChatTemplate {
    /// Reads the template of a model directory, with the special tokens that it may name.
    ///
    /// # Errors
    /// [`Error::NoTemplate`] if it has none, [`Error::Template`] if that is malformed,
    /// [`Error::ChatFile`] if a file about it is, [`Error::Io`].
    pub fn load(directory: impl AsRef<Path>) -> Result<Self, Error> {
        let directory = directory.as_ref();
        Self::find(directory)?.ok_or_else(|| Error::NoTemplate { directory: directory.to_owned() })
    }

    /// [`Self::load`], with nothing for a directory without template.
    ///
    /// # Errors
    /// Those of [`Self::load`] but [`Error::NoTemplate`].
    pub fn find(directory: impl AsRef<Path>) -> Result<Option<Self>, Error> {
        let directory = directory.as_ref();
        let mut templates = files::templates(directory)?;
        let Some(default) = templates.remove("default") else {
            if templates.is_empty() {
                return Ok(None);
            }
            let names: Vec<&String> = templates.keys().collect();
            let reason = format!("none of the chat templates {names:?} is called \"default\"");
            let path = directory.join("tokenizer_config.json");
            return Err(Error::ChatFile { path, reason });
        };
        let tool_use = templates.remove("tool_use");
        let variables = files::special_tokens(directory)?;
        Ok(Some(Self { default, tool_use, variables, now: None }))
    }

    /// A template from its source; `origin` is what errors call it. It knows no special tokens:
    /// see [`Self::with_special_tokens`].
    ///
    /// # Errors
    /// [`Error::Template`] if it is malformed.
    pub fn from_source(origin: &str, source: &str) -> Result<Self, Error> {
        let default = Compiled::new(origin, source)?;
        Ok(Self { default, tool_use: None, variables: Map::new(), now: None })
    }

    /// Gives the template the special tokens of a model directory, as `bos_token`, `eos_token` ...
    ///
    /// # Errors
    /// [`Error::ChatFile`], [`Error::Io`].
    pub fn with_special_tokens(mut self, directory: impl AsRef<Path>) -> Result<Self, Error> {
        self.variables.extend(files::special_tokens(directory.as_ref())?);
        Ok(self)
    }

    /// Gives the template a variable, such as `enable_thinking`.
    #[must_use]
    pub fn with_variable(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.variables.insert(name.into(), value.into());
        self
    }

    /// Fixes what `strftime_now` takes for now, in seconds since 1970. Without it, templates that
    /// write the date see the clock.
    #[must_use]
    pub fn at(mut self, seconds: u64) -> Self {
        self.now = Some(seconds);
        self
    }

    /// The text of a conversation; with `add_generation_prompt`, up to where the assistant is to
    /// speak next. `tools` are the JSON schemas of what the assistant may call, mostly none.
    ///
    /// # Errors
    /// [`Error::EmptyChat`]; [`Error::Refused`] with what the template says of these messages;
    /// [`Error::Template`] if it fails, [`Error::Unbounded`] if it does not end.
    pub fn render(
        &self,
        messages: &[Message],
        tools: &[Value],
        add_generation_prompt: bool,
    ) -> Result<String, Error> {
        let chat: Vec<Value> = messages.iter().map(for_template).collect();
        self.render_json(chat, tools, add_generation_prompt, None)
    }

    /// [`Self::render`] of messages as JSON, with marks around generation blocks.
    pub(super) fn render_json(
        &self,
        messages: Vec<Value>,
        tools: &[Value],
        add_generation_prompt: bool,
        marks: Option<(char, char)>,
    ) -> Result<String, Error> {
        if messages.is_empty() {
            return Err(Error::EmptyChat);
        }
        // The variables come last: as in transformers, they win over special tokens only.
        let mut variables = self.variables.clone();
        variables.insert("messages".to_owned(), messages.into());
        let given = if tools.is_empty() { Value::Null } else { tools.to_vec().into() };
        variables.insert("tools".to_owned(), given);
        variables.insert("documents".to_owned(), Value::Null);
        variables.insert("add_generation_prompt".to_owned(), add_generation_prompt.into());
        let rendering = Rendering { marks, now: self.now.unwrap_or_else(clock::now) };
        self.chosen(tools).render(variables, rendering)
    }

    /// The name of the template in errors.
    pub fn origin(&self) -> &str {
        self.default.origin()
    }

    /// Whether a text occurs in the template's source.
    pub(crate) fn mentions(&self, text: &str) -> bool {
        self.sources().any(|source| source.contains(text))
    }

    /// The sources of the template, and of the one for tools.
    pub(super) fn sources(&self) -> impl Iterator<Item = &str> {
        [&self.default].into_iter().chain(&self.tool_use).map(Compiled::source)
    }

    pub(super) fn has_generation_blocks(&self, tools: &[Value]) -> bool {
        self.chosen(tools).has_generation_blocks()
    }

    fn chosen(&self, tools: &[Value]) -> &Compiled {
        self.tool_use.as_ref().filter(|_| !tools.is_empty()).unwrap_or(&self.default)
    }
}

/// A message as transformers hands it to a template: without keys that are null, and with what the
/// assistant thought under every name in use.
pub(super) fn for_template(message: &Message) -> Value {
    const THOUGHTS: [&str; 3] = ["reasoning_content", "thinking", "reasoning"];
    let Value::Object(mut object) = message.to_json() else { return Value::Null };
    object.retain(|_, value| !value.is_null());
    if let Some(thought) = THOUGHTS.iter().find_map(|key| object.get(*key)).cloned() {
        object.entry("thinking").or_insert_with(|| thought.clone());
        object.insert("reasoning_content".to_owned(), thought);
    }
    Value::Object(object)
}
