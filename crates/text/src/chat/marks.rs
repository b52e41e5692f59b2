//! Private characters that travel through a template with the text they mark.

use std::ops::Range;

use serde_json::Value;

use super::template::ChatTemplate;
use crate::Error;
use crate::spelling::Spellings;

/// Three pairs of characters that occur in nothing that is rendered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Marks {
    /// Around what the assistant says.
    pub(super) spoken: (char, char),
    /// Around special tokens that someone wrote into a message.
    pub(super) literal: (char, char),
}

impl Marks {
    /// Marks that no message, tool or template has. Private use: nobody else may give them meaning.
    pub(super) fn unused(texts: &[&str]) -> Option<Self> {
        let mut free =
            ('\u{e000}'..='\u{f8ff}').filter(|mark| !texts.iter().any(|text| text.contains(*mark)));
        let mut pair = || Some((free.next()?, free.next()?));
        Some(Self { spoken: pair()?, literal: pair()? })
    }
}

/// A rendered text without its marks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Unmarked {
    pub(super) text: String,
    /// Bytes of `text` that stood between `spoken` marks, in order, none within another.
    pub(super) spoken: Vec<Range<usize>>,
    /// Bytes of `text` that stood between `literal` marks.
    pub(super) literal: Vec<Range<usize>>,
}

impl Marks {
    /// Whether a text has any of the marks.
    pub(super) fn occur_in(&self, text: &str) -> bool {
        let marks = [self.spoken.0, self.spoken.1, self.literal.0, self.literal.1];
        text.contains(marks)
    }
}

impl Unmarked {
    /// Takes the marks out of `text`; nothing if those of `spoken` do not pair up. A template that
    /// splits a text can separate `literal` marks; a lone one is dropped.
    pub(super) fn read(marked: &str, marks: &Marks) -> Option<Self> {
        let mut found = Self::default();
        let (mut spoken, mut literal) = (None, None);
        for character in marked.chars() {
            let at = found.text.len();
            match character {
                c if c == marks.spoken.0 => {
                    if spoken.replace(at).is_some() {
                        return None;
                    }
                }
                c if c == marks.spoken.1 => found.spoken.push(spoken.take()?..at),
                c if c == marks.literal.0 => literal = Some(at),
                c if c == marks.literal.1 => {
                    found.literal.extend(literal.take().map(|start| start..at));
                }
                c => found.text.push(c),
            }
        }
        spoken.is_none().then_some(found)
    }
}

/// Marks every occurrence of a token in every string of `value`.
pub(super) fn mark_literals(value: &mut Value, tokens: &Spellings<'_>, marks: (char, char)) {
    match value {
        Value::String(text) => {
            for token in tokens.find(text).into_iter().rev() {
                text.insert(token.end, marks.1);
                text.insert(token.start, marks.0);
            }
        }
        Value::Array(values) => {
            values.iter_mut().for_each(|value| mark_literals(value, tokens, marks));
        }
        Value::Object(object) => {
            object.values_mut().for_each(|value| mark_literals(value, tokens, marks));
        }
        _ => {}
    }
}

/// [`Marks::unused`] for what is about to be rendered.
pub(super) fn for_chat(
    template: &ChatTemplate,
    chat: &[Value],
    tools: &[Value],
) -> Result<Marks, Error> {
    let inputs: Vec<String> = chat.iter().chain(tools).map(Value::to_string).collect();
    let texts: Vec<&str> = inputs.iter().map(String::as_str).chain(template.sources()).collect();
    Marks::unused(&texts).ok_or_else(|| Error::NoMask {
        origin: template.origin().to_owned(),
        message: 0,
        reason: "the messages use every private character".to_owned(),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn marks_avoid_what_is_there() {
        let marks = Marks::unused(&["a\u{e000}", "\u{e002}"]).unwrap();
        assert_eq!(
            (marks.spoken, marks.literal),
            (('\u{e001}', '\u{e003}'), ('\u{e004}', '\u{e005}'))
        );
        let all: String = ('\u{e000}'..='\u{f8ff}').collect();
        assert_eq!(Marks::unused(&[&all]), None);
    }

    #[test]
    fn spans_are_bytes_of_the_text_without_marks() {
        let marks = Marks::unused(&[]).unwrap();
        let read = |text: &str| {
            Unmarked::read(&text.replace('<', "\u{e000}").replace('>', "\u{e001}"), &marks)
        };
        let found = read("é<ab>c<>").unwrap();
        assert_eq!(found.text, "éabc");
        assert_eq!(found.spoken, [2..4, 5..5]);
        for torn in ["<a", "a>", "<<a>>", "<a>>"] {
            assert_eq!(read(torn), None);
        }
        let literal = Unmarked::read("a\u{e002}<s>\u{e003}b\u{e002}c", &marks).unwrap();
        assert_eq!(literal.text, "a<s>bc");
        assert_eq!((literal.literal.len(), &literal.literal[0]), (1, &(1..4)));
    }

    #[test]
    fn strings_are_marked_wherever_they_are() {
        let mut value = json!([{"a": "x<s><s>é"}, 1]);
        let tokens = Spellings::new(["<s>"].into_iter());
        mark_literals(&mut value, &tokens, ('[', ']'));
        assert_eq!(value, json!([{"a": "x[<s>][<s>]é"}, 1]));
    }
}
