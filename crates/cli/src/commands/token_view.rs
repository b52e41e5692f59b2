//! Tokens of a row for people: those that are learnt stand out.

use afterthought_text::{Encoded, Error, Tokenizer};

use crate::console::printable;

/// How tokens are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TokenStyle {
    /// Bold green for what is learnt and dim for the rest; else `[learnt]` and `(not learnt)`.
    pub(crate) color: bool,
    /// Whether each token is followed by its id.
    pub(crate) ids: bool,
}

const LEARNT: &str = "\u{1b}[1;32m";
const GIVEN: &str = "\u{1b}[2m";
const PLAIN: &str = "\u{1b}[0m";

/// The tokens of a row in order. Characters that several tokens make up stand with the first.
///
/// # Errors
/// [`Error::UnknownId`] for a token that the tokenizer does not have.
pub(crate) fn paint(
    encoded: &Encoded,
    tokenizer: &Tokenizer,
    style: TokenStyle,
) -> Result<String, Error> {
    let (text, mut shown, mut view) = (&encoded.text, 0, String::new());
    let tokens = encoded.ids.iter().zip(&encoded.offsets).zip(&encoded.loss_mask);
    for ((&id, &(start, end)), &learnt) in tokens {
        // What no token stands for, such as white space between words.
        view += &visible(text.get(shown..start.max(shown)).unwrap_or_default());
        let piece = match text.get(start.max(shown)..end.max(shown)) {
            Some(piece) if !piece.is_empty() => visible(piece),
            _ if start == end => visible(&tokenizer.id_to_token(id)?),
            _ => "·".to_owned(),
        };
        shown = shown.max(end);
        let id = if style.ids { format!(":{id}") } else { String::new() };
        // A line ends after its token, not within.
        let (piece, line_end) = match piece.strip_suffix('\n') {
            Some(piece) => (piece, "\n"),
            None => (piece.as_str(), ""),
        };
        view += &match (style.color, learnt) {
            (true, true) => format!("{LEARNT}{piece}{id}{PLAIN}{line_end}"),
            (true, false) => format!("{GIVEN}{piece}{id}{PLAIN}{line_end}"),
            (false, true) => format!("[{piece}{id}]{line_end}"),
            (false, false) => format!("({piece}{id}){line_end}"),
        };
    }
    Ok(view + &visible(text.get(shown..).unwrap_or_default()))
}

/// A text that cannot drive the terminal, with its line ends shown.
fn visible(text: &str) -> String {
    let reordering = |c| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let mut safe = String::new();
    for character in printable(text).chars() {
        match character {
            '\n' => safe += "↵\n",
            c if reordering(c) => safe.extend(c.escape_unicode()),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use afterthought_text::{SpecialTokens, word_level};

    fn view(color: bool, ids: bool) -> String {
        let words = ["one".to_owned(), "two".to_owned()];
        let tokenizer = word_level(&words, &SpecialTokens::default()).unwrap();
        let encoded = Encoded {
            ids: vec![0, 5, 6, 6, 1],
            loss_mask: vec![false, false, true, true, true],
            text: "one\n\u{1b}two".into(),
            offsets: vec![(0, 0), (0, 4), (5, 8), (5, 8), (8, 8)],
            warnings: Vec::new(),
        };
        paint(&encoded, &tokenizer, TokenStyle { color, ids }).unwrap()
    }

    #[test]
    fn marks_away_from_a_terminal() {
        assert_eq!(view(false, false), "(<bos>)(one↵)\n\\u{1b}[two][·][<eos>]");
        assert_eq!(view(false, true), "(<bos>:0)(one↵:5)\n\\u{1b}[two:6][·:6][<eos>:1]");
    }

    #[test]
    fn colours_on_a_terminal() {
        let expected = "\u{1b}[2m<bos>\u{1b}[0m\u{1b}[2mone↵\u{1b}[0m\n\\u{1b}\
                        \u{1b}[1;32mtwo\u{1b}[0m\u{1b}[1;32m·\u{1b}[0m\u{1b}[1;32m<eos>\u{1b}[0m";
        assert_eq!(view(true, false), expected);
    }
}
