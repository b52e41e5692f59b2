//! A text in which some special tokens are words.

use std::ops::Range;

use crate::Error;
use crate::tokenizer::{Tokenizer, Tokens};

/// Encodes `text` with added tokens read as such, except within `literal`.
///
/// The text is cut around `literal`, so that the pieces cannot join into a special token either.
pub(super) fn encode(
    tokenizer: &Tokenizer,
    text: &str,
    literal: &[Range<usize>],
) -> Result<Tokens, Error> {
    if literal.is_empty() {
        return tokenizer.encode_with_offsets(text);
    }
    let line_feed = tokenizer.encode("\n").unwrap_or_default();
    let mut all = Tokens::default();
    let mut from = 0;
    let ends = literal.iter().map(|range| (range.clone(), true));
    let mut append = |range: Range<usize>, as_text: bool| {
        let piece = &text[range.clone()];
        if piece.is_empty() {
            return Ok(());
        }
        let tokens = match range.start {
            0 => encode_piece(tokenizer, piece, as_text)?,
            _ => inside(tokenizer, piece, as_text, &line_feed)?,
        };
        all.ids.extend(tokens.ids);
        let shifted = tokens.offsets.iter().map(|(a, b)| (a + range.start, b + range.start));
        all.offsets.extend(shifted);
        Ok(())
    };
    for (range, as_text) in ends {
        append(from..range.start, false)?;
        append(range.clone(), as_text)?;
        from = range.end;
    }
    append(from..text.len(), false)?;
    Ok(all)
}

/// Encodes a piece from the middle of a text. Some tokenizers put a space before whatever they
/// encode; after a line feed, which is taken away again, they do not.
fn inside(
    tokenizer: &Tokenizer,
    piece: &str,
    as_text: bool,
    line_feed: &[u32],
) -> Result<Tokens, Error> {
    if !line_feed.is_empty() {
        let mut tokens = encode_piece(tokenizer, &format!("\n{piece}"), as_text)?;
        if tokens.ids.starts_with(line_feed) {
            tokens.ids.drain(..line_feed.len());
            tokens.offsets.drain(..line_feed.len());
            for (start, end) in &mut tokens.offsets {
                (*start, *end) = (start.saturating_sub(1), end.saturating_sub(1));
            }
            return Ok(tokens);
        }
    }
    encode_piece(tokenizer, piece, as_text)
}

fn encode_piece(tokenizer: &Tokenizer, piece: &str, as_text: bool) -> Result<Tokens, Error> {
    match as_text {
        true => tokenizer.encode_as_text(piece),
        false => tokenizer.encode_with_offsets(piece),
    }
}
