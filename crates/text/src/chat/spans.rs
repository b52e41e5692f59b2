//! Which part of a rendered conversation the assistant wrote.
//!
//! Three ways, in this order:
//!
//! 1. The template says so, with generation blocks.
//! 2. Marks around the visible part of each answer travel through the template. Refused if the
//!    text without them is not the text of the unmarked messages: then the template looks into
//!    answers. An answer includes its outer white space, where the template keeps it, the token
//!    that ends it, and whatever stands between it and the generation prompt: the model, which is
//!    asked with that, has to write it.
//! 3. Where marks do not get through, an answer is what the conversation to its end has beyond the
//!    conversation before it with the generation prompt.

use std::ops::Range;

use serde_json::Value;

use super::marks::{self, Marks, Unmarked, mark_literals};
use super::template::{ChatTemplate, for_template};
use crate::Error;
use crate::message::Message;
use crate::spelling::Spellings;
use crate::tokenizer::AddedToken;

const PRIVATE: &str = "the template writes private characters of its own";

/// A conversation as text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rendered {
    pub(crate) text: String,
    /// Bytes that the assistant wrote, in order, none within another.
    pub(crate) spoken: Vec<Range<usize>>,
    /// Special tokens in the words of a message, which are not to be taken for tokens.
    pub(crate) literal: Vec<Range<usize>>,
}

/// What to render.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'a> {
    pub(crate) template: &'a ChatTemplate,
    pub(crate) messages: &'a [Message],
    pub(crate) tools: &'a [Value],
    pub(crate) add_generation_prompt: bool,
    /// The added tokens of the tokenizer, the longest first.
    pub(crate) added: &'a [AddedToken],
    /// Which of them are marked where messages have them.
    pub(crate) literals: &'a Spellings<'a>,
}

/// Renders a conversation and finds what the assistant says in it.
pub(crate) fn rendered(request: &Request<'_>) -> Result<Rendered, Error> {
    let Request { template, messages, tools, add_generation_prompt, .. } = *request;
    let mut chat: Vec<Value> = messages.iter().map(for_template).collect();
    let mut tools = tools.to_vec();
    let marks = marks::for_chat(template, &chat, &tools)?;
    for value in chat.iter_mut().chain(&mut tools) {
        if let Value::Object(object) = value {
            let others = object.iter_mut().filter(|(key, _)| *key != "role");
            others.for_each(|(_, value)| mark_literals(value, request.literals, marks.literal));
        }
    }
    let speaks = messages.iter().any(Message::is_assistant);
    let blocks = speaks && template.has_generation_blocks(&tools);
    let plain = template.render_json(chat.clone(), &tools, add_generation_prompt, None)?;
    // A template can still spell such characters as escapes.
    let own = request.literals.is_empty() && marks.occur_in(&plain);
    let plain = Unmarked::read(&plain, &marks).filter(|plain| !own && plain.spoken.is_empty());
    let Some(plain) = plain else {
        return Err(no_mask(template, 0, PRIVATE));
    };
    let rendered =
        |spoken| Rendered { text: plain.text.clone(), spoken, literal: plain.literal.clone() };
    if !speaks {
        return Ok(rendered(Vec::new()));
    }
    if blocks {
        let marked =
            template.render_json(chat, &tools, add_generation_prompt, Some(marks.spoken))?;
        return match Unmarked::read(&marked, &marks) {
            Some(found) if found.text == plain.text => Ok(rendered(found.spoken)),
            _ => Err(no_mask(template, 0, "its generation blocks lie within each other")),
        };
    }
    let chat = Chat { request, chat, tools, marks, text: &plain.text };
    match chat.by_marks() {
        Some(spoken) => Ok(rendered(spoken)),
        None => Ok(rendered(chat.by_prefixes()?)),
    }
}

struct Chat<'a> {
    request: &'a Request<'a>,
    chat: Vec<Value>,
    tools: Vec<Value>,
    marks: Marks,
    text: &'a str,
}

impl Chat<'_> {
    fn answers(&self) -> impl Iterator<Item = usize> {
        let messages = self.request.messages.iter().enumerate();
        messages.filter(|(_, message)| message.is_assistant()).map(|(index, _)| index)
    }

    /// The second way; nothing if it does not work for this template and these messages.
    fn by_marks(&self) -> Option<Vec<Range<usize>>> {
        let mut chat = self.chat.clone();
        let (begin, end) = self.marks.spoken;
        let mut margins = Vec::new();
        for index in self.answers() {
            let answer = chat[index].as_object_mut()?;
            // Tool calls and thoughts are the assistant's too, and the marks would miss them.
            if answer.keys().any(|key| !matches!(key.as_str(), "role" | "content" | "name")) {
                return None;
            }
            let Some(Value::String(content)) = answer.get_mut("content") else { return None };
            let core = content.trim();
            let start = content.len() - content.trim_start().len();
            let (lead, tail) = (&content[..start], &content[start + core.len()..]);
            let marked = format!("{lead}{begin}{core}{end}{tail}");
            margins.push([lead.to_owned(), tail.to_owned()]);
            *content = marked;
        }
        let prompt = self.request.add_generation_prompt;
        let marked = self.request.template.render_json(chat, &self.tools, prompt, None).ok()?;
        let found = Unmarked::read(&marked, &self.marks)?;
        if found.text != self.text || found.spoken.len() != margins.len() {
            return None;
        }
        let mut spoken = found.spoken;
        for (range, [lead, tail]) in spoken.iter_mut().zip(&margins) {
            if self.text[..range.start].ends_with(lead.as_str()) {
                range.start -= lead.len();
            }
            if self.text[range.end..].starts_with(tail.as_str()) {
                range.end += tail.len();
            }
        }
        let end_of_turn = self.end_of_turn();
        let mut previous = 0;
        for (range, index) in spoken.iter_mut().zip(self.answers()) {
            if let Ok(asked) = self.part(index, true)
                && self.text.starts_with(&asked)
                && (previous..range.start).contains(&asked.len())
            {
                range.start = asked.len();
            }
            if let Some(token) = end_of_turn {
                range.end = self.after(range.end, token);
            }
            previous = range.end;
        }
        Some(spoken)
    }

    /// The text of the first `end` messages.
    fn part(&self, end: usize, add_generation_prompt: bool) -> Result<String, Error> {
        let template = self.request.template;
        let chat = self.chat[..end].to_vec();
        let text = template.render_json(chat, &self.tools, add_generation_prompt, None)?;
        Unmarked::read(&text, &self.marks)
            .map(|found| found.text)
            .ok_or_else(|| no_mask(template, end, PRIVATE))
    }

    /// The token that ends answers: the first after the last one, white space aside, in the
    /// conversation that ends there.
    fn end_of_turn(&self) -> Option<&str> {
        let last = self.answers().last()?;
        let mut chat = self.chat[..=last].to_vec();
        let Value::String(content) = chat[last].get_mut("content")? else { return None };
        let (begin, end) = self.marks.spoken;
        *content = format!("{begin}{}{end}", content.trim());
        let marked = self.request.template.render_json(chat, &self.tools, false, None).ok()?;
        let found = Unmarked::read(&marked, &self.marks)?;
        let rest = found.text[found.spoken.last()?.end..].trim_start();
        let starts = |token: &&AddedToken| rest.starts_with(token.text.as_str());
        self.request.added.iter().find(starts).map(|token| token.text.as_str())
    }

    /// The end of `token`, if it stands at `at`, white space aside.
    fn after(&self, at: usize, token: &str) -> usize {
        let rest = &self.text[at..];
        let space = rest.len() - rest.trim_start().len();
        if rest[space..].starts_with(token) { at + space + token.len() } else { at }
    }

    /// The third way.
    fn by_prefixes(&self) -> Result<Vec<Range<usize>>, Error> {
        let template = self.request.template;
        let mut spoken: Vec<Range<usize>> = Vec::new();
        for index in self.answers() {
            let fail = |reason: &str| no_mask(template, index, reason);
            if index == 0 {
                return Err(fail("nothing stands before it"));
            }
            let (before, through) = (self.part(index, true)?, self.part(index + 1, false)?);
            if !through.starts_with(&before) {
                return Err(fail("the template writes the prompt otherwise once it is answered"));
            }
            let end = self.trimmed_end(&through).max(before.len());
            if !self.text.starts_with(&through[..end]) {
                return Err(fail("the template writes the answer otherwise in later turns"));
            }
            if spoken.last().is_some_and(|last| last.end > before.len()) {
                return Err(fail("it begins before the answer before it has ended"));
            }
            spoken.push(before.len()..end);
        }
        Ok(spoken)
    }

    /// The end of a text without the white space after its last token: no model is asked for more
    /// once it has ended its turn.
    fn trimmed_end(&self, text: &str) -> usize {
        let trimmed = text.trim_end();
        match self.request.added.iter().any(|token| trimmed.ends_with(token.text.as_str())) {
            true => trimmed.len(),
            false => text.len(),
        }
    }
}

fn no_mask(template: &ChatTemplate, message: usize, reason: &str) -> Error {
    Error::NoMask { origin: template.origin().to_owned(), message, reason: reason.to_owned() }
}
