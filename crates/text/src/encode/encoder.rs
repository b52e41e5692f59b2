use std::path::Path;

use serde_json::Value;

use super::encoded::{Encoded, Warning};
use super::pieces;
use crate::Error;
use crate::chat::{ChatTemplate, Request, files, rendered};
use crate::jsonl::{Content, Record};
use crate::message::Message;
use crate::spelling::Spellings;
use crate::tokenizer::{AddedToken, Tokenizer};

/// What becomes of special tokens that are spelt out in the words of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SpecialInContent {
    /// They are tokens, as in transformers, and [`Warning::SpecialTokensInContent`] counts them.
    #[default]
    Tokens,
    /// They are text: nobody can end a turn by writing so.
    Text,
}

/// From rows to tokens, for one model.
///
/// With a chat template, everything is a conversation: `prompt` is the user's turn and `completion`
/// the assistant's. Without one, `prompt` and `completion` follow each other as they are, between
/// the begin- and the end-of-sequence token, and `messages` are an error.
#[derive(Clone, Debug)]
pub struct Encoder {
    tokenizer: Tokenizer,
    template: Option<ChatTemplate>,
    system: Option<String>,
    bos: Option<u32>,
    eos: Option<u32>,
    special: SpecialInContent,
    added: Vec<AddedToken>,
}

impl Encoder {
    /// An encoder without chat template. `bos` begins and `eos` ends each row.
    pub fn new(tokenizer: Tokenizer, bos: Option<u32>, eos: Option<u32>) -> Self {
        let added = tokenizer.added_tokens();
        let special = SpecialInContent::default();
        Self { tokenizer, template: None, system: None, bos, eos, special, added }
    }

    /// Reads tokenizer and chat template of a model directory; one without chat template is fine.
    ///
    /// # Errors
    /// Those of [`Tokenizer::from_file`], [`ChatTemplate::find`] and [`Self::raw`].
    pub fn load(directory: impl AsRef<Path>) -> Result<Self, Error> {
        let directory = directory.as_ref();
        let tokenizer = Tokenizer::from_file(directory.join("tokenizer.json"))?;
        let template = ChatTemplate::find(directory)?;
        Ok(Self::raw(directory, tokenizer)?.with_template(template))
    }

    /// An encoder for a model directory without its chat template, which may be broken.
    ///
    /// The tokens that begin and end a row are those that the tokenizer's files name, else those of
    /// config.json. A tokenizer that comes with a configuration decides by itself whether a row
    /// begins with one.
    ///
    /// # Errors
    /// [`Error::UnknownToken`] or [`Error::UnknownId`] for a special token that is none,
    /// [`Error::ChatFile`] for a file that is not what it should be, [`Error::Io`].
    pub fn raw(directory: impl AsRef<Path>, tokenizer: Tokenizer) -> Result<Self, Error> {
        let directory = directory.as_ref();
        let bos = match begins_with(directory, &tokenizer)? {
            true => special_id(directory, &tokenizer, "bos")?,
            false => None,
        };
        let eos = special_id(directory, &tokenizer, "eos")?;
        Ok(Self::new(tokenizer, bos, eos))
    }

    /// With this chat template in place of the directory's; without any, if there is none.
    #[must_use]
    pub fn with_template(mut self, template: Option<ChatTemplate>) -> Self {
        self.template = template;
        self
    }

    /// With this system turn before every prompt.
    #[must_use]
    pub fn with_system(mut self, system: Option<String>) -> Self {
        self.system = system;
        self
    }

    /// With this treatment of special tokens in messages.
    #[must_use]
    pub fn with_special_in_content(mut self, special: SpecialInContent) -> Self {
        self.special = special;
        self
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// The chat template, if there is one.
    pub fn template(&self) -> Option<&ChatTemplate> {
        self.template.as_ref()
    }

    /// What the model is asked when the prompt is `text`: a user turn up to where the assistant is
    /// to speak, or the text itself after the begin-of-sequence token.
    ///
    /// # Errors
    /// Those of the template and the tokenizer.
    pub fn prompt(&self, text: &str) -> Result<Encoded, Error> {
        match &self.template {
            Some(template) => {
                let messages = self.asking(text);
                self.conversation(template, &messages, &[], true)
            }
            None => self.joined(text, None),
        }
    }

    /// What the model is asked after these turns, the last of them the user's: the conversation up to
    /// where the assistant is to speak, behind the system turn if there is one.
    ///
    /// # Errors
    /// Those of the template and the tokenizer; [`Error::NoTemplate`] without a template.
    pub fn after(&self, turns: &[Message]) -> Result<Encoded, Error> {
        let Some(template) = &self.template else {
            return Err(Error::NoTemplate { directory: "the model".into() });
        };
        let system = self.system.iter().map(|system| Message::new("system", system));
        let messages: Vec<Message> = system.chain(turns.iter().cloned()).collect();
        self.conversation(template, &messages, &[], true)
    }

    /// A row: its tokens, and which of them are learnt. A prompt alone is encoded as
    /// [`Self::prompt`] does, and nothing of it is learnt.
    ///
    /// # Errors
    /// Those of the template and the tokenizer; [`Error::NoTemplate`] for `messages` without a
    /// template; [`Error::NoMask`] if nobody can tell what the assistant says.
    pub fn record(&self, record: &Record) -> Result<Encoded, Error> {
        match (&record.content, &self.template) {
            (Content::Messages(messages), Some(template)) => {
                self.conversation(template, messages, record.tools(), false)
            }
            (Content::Messages(_), None) => {
                Err(Error::NoTemplate { directory: "the model".into() })
            }
            (Content::Completion { prompt, completion }, Some(template)) => {
                let mut messages = self.asking(prompt);
                messages.push(Message::new("assistant", completion));
                self.conversation(template, &messages, record.tools(), false)
            }
            (Content::Completion { prompt, completion }, None) => {
                self.joined(prompt, Some(completion))
            }
            (Content::Prompt(prompt), _) => self.prompt(prompt),
        }
    }

    /// The special token that ends what the assistant says in a conversation, if one does.
    ///
    /// # Errors
    /// Those of the template and the tokenizer.
    pub fn end_of_turn(&self) -> Result<Option<u32>, Error> {
        let Some(template) = &self.template else { return Ok(None) };
        let messages = [Message::new("user", "a"), Message::new("assistant", "a")];
        let encoded = match self.conversation(template, &messages, &[], false) {
            Err(Error::NoMask { .. } | Error::UnknownWord { .. }) => return Ok(None),
            encoded => encoded?,
        };
        let last = encoded.loss_mask.iter().rposition(|trained| *trained);
        Ok(last.map(|at| encoded.ids[at]).filter(|id| self.ends_a_turn(*id)))
    }

    /// The token that begins a row without chat template, and the one that ends it.
    pub fn bos_and_eos(&self) -> (Option<u32>, Option<u32>) {
        (self.bos, self.eos)
    }

    fn asking(&self, text: &str) -> Vec<Message> {
        let system = self.system.iter().map(|system| Message::new("system", system));
        system.chain([Message::new("user", text)]).collect()
    }

    fn joined(&self, prompt: &str, completion: Option<&str>) -> Result<Encoded, Error> {
        let text = [prompt, completion.unwrap_or_default()].concat();
        let tokens = self.tokenizer.encode_with_offsets(&text)?;
        let learnt = prompt.len()..text.len();
        let spans = if completion.is_some() { vec![learnt] } else { Vec::new() };
        let mut encoded = Encoded::new(text, tokens, &spans);
        if let Some(bos) = self.bos.filter(|bos| encoded.ids.first() != Some(bos)) {
            encoded.ids.insert(0, bos);
            encoded.loss_mask.insert(0, false);
            encoded.offsets.insert(0, (0, 0));
        }
        if completion.is_some() {
            match self.eos {
                Some(eos) if encoded.ids.last() != Some(&eos) => encoded.push(eos, true),
                _ => {}
            }
        }
        self.finish(encoded, completion.is_some())
    }

    fn conversation(
        &self,
        template: &ChatTemplate,
        messages: &[Message],
        tools: &[Value],
        add_generation_prompt: bool,
    ) -> Result<Encoded, Error> {
        let control = Spellings::new(
            (self.added.iter())
                .filter(|token| token.special || template.mentions(&token.text))
                .map(|token| token.text.as_str()),
        );
        let (as_text, none) =
            (self.special == SpecialInContent::Text, Spellings::new(std::iter::empty()));
        let request = Request {
            template,
            messages,
            tools,
            add_generation_prompt,
            added: &self.added,
            literals: if as_text { &control } else { &none },
        };
        let chat = rendered(&request)?;
        let tokens = pieces::encode(&self.tokenizer, &chat.text, &chat.literal)?;
        let mut encoded = Encoded::new(chat.text, tokens, &chat.spoken);
        let spelt_out = messages.iter().filter_map(|message| message.content.as_deref());
        let count: usize = spelt_out.map(|content| control.find(content).len()).sum();
        if count > 0 && !as_text {
            encoded.warnings.push(Warning::SpecialTokensInContent(count));
        }
        let (before, _) = self.tokenizer.wrapping()?;
        if !encoded.ids.starts_with(&before) {
            encoded.warnings.push(Warning::MissingBos);
        }
        self.finish(encoded, messages.iter().any(Message::is_assistant) && !add_generation_prompt)
    }

    fn finish(&self, mut encoded: Encoded, learning: bool) -> Result<Encoded, Error> {
        let ids = &encoded.ids;
        if self.bos.is_some() && ids.len() > 1 && ids[..2].iter().all(|id| Some(*id) == self.bos) {
            encoded.warnings.push(Warning::RepeatedBos);
        }
        if learning {
            let last = encoded.loss_mask.iter().rposition(|trained| *trained);
            match last.map(|at| encoded.ids[at]) {
                None => encoded.warnings.push(Warning::NothingLearnt),
                Some(id) if Some(id) != self.eos && !self.ends_a_turn(id) => {
                    encoded.warnings.push(Warning::MissingEos);
                }
                Some(_) => {}
            }
        }
        let unknown = self.tokenizer.count_unknown(&encoded.ids);
        if unknown > 0 {
            encoded.warnings.push(Warning::UnknownTokens(unknown));
        }
        Ok(encoded)
    }

    fn ends_a_turn(&self, id: u32) -> bool {
        self.added.iter().any(|token| token.id == id && token.special)
    }
}

/// Whether rows begin with the begin-of-sequence token. Directories without tokenizer_config.json
/// are those of small models made here, which always do.
fn begins_with(directory: &Path, tokenizer: &Tokenizer) -> Result<bool, Error> {
    if !directory.join("tokenizer_config.json").is_file() {
        return Ok(true);
    }
    let own = !tokenizer.wrapping()?.0.is_empty();
    Ok(files::adds_bos(directory)?.unwrap_or(own))
}

/// The id of a special token, as the tokenizer's files name it or config.json numbers it (the first
/// number, if there are several).
fn special_id(directory: &Path, tokenizer: &Tokenizer, role: &str) -> Result<Option<u32>, Error> {
    let named = files::special_tokens(directory)?;
    if let Some(token) = named.get(&format!("{role}_token")).and_then(Value::as_str) {
        return tokenizer.token_to_id(token).map(Some);
    }
    let config = files::object(&directory.join("config.json"))?.unwrap_or_default();
    let id = match config.get(&format!("{role}_token_id")) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Array(several)) => several.first().and_then(Value::as_u64),
        Some(one) => one.as_u64(),
    };
    match id.and_then(|id| u32::try_from(id).ok()) {
        Some(id) => tokenizer.id_to_token(id).map(|_| Some(id)),
        None => Err(Error::ChatFile {
            path: directory.join("config.json"),
            reason: format!("{role}_token_id is not a token id"),
        }),
    }
}
