//! A half-decoded completion as lines of text: pure layout, no terminal.

use afterthought_text::{Error, Tokenizer};

use crate::console::printable;

/// What a place of the canvas holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A mask outside of the block that is being decoded.
    Masked,
    /// A mask of the block that is being decoded.
    Active,
    /// A token that the last step committed.
    New,
    /// An older token.
    Old,
    /// The end of the completion, or what follows it.
    End,
}

/// How to mark the places of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// ANSI colours.
    Color,
    /// New tokens in brackets.
    Plain,
}

/// One place, ready to be laid out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) text: String,
    pub(crate) place: Place,
}

/// How a tokenizer's tokens become cells.
pub(crate) struct Cells<'a> {
    tokenizer: &'a Tokenizer,
    mask: u32,
    end: u32,
    /// Whether tokens are words with spaces between them.
    pub(crate) spaced: bool,
}

impl<'a> Cells<'a> {
    /// # Errors
    /// `end` is no token.
    pub(crate) fn new(tokenizer: &'a Tokenizer, mask: u32, end: u32) -> Result<Self, Error> {
        let (one, two) = (tokenizer.decode(&[end], false)?, tokenizer.decode(&[end, end], false)?);
        Ok(Self { tokenizer, mask, end, spaced: two == format!("{one} {one}") })
    }

    /// The cells of a completion; `new` are the positions committed last, ascending, and `active`
    /// is the block being decoded.
    pub(crate) fn of(
        &self,
        completion: &[u32],
        new: &[usize],
        active: std::ops::Range<usize>,
    ) -> Vec<Cell> {
        let cell = |(position, &id): (usize, &u32)| {
            let place = match id {
                _ if id == self.mask && active.contains(&position) => Place::Active,
                _ if id == self.mask => Place::Masked,
                _ if id == self.end => Place::End,
                _ if new.binary_search(&position).is_ok() => Place::New,
                _ => Place::Old,
            };
            let before = position.checked_sub(1).map(|before| completion[before]);
            let text = match place {
                Place::Active => self.block("▒"),
                Place::Masked => self.block("░"),
                Place::End => "·".to_owned(),
                Place::New | Place::Old => self.piece(before, id),
            };
            Cell { text, place }
        };
        completion.iter().enumerate().map(cell).collect()
    }

    fn block(&self, character: &str) -> String {
        character.repeat(if self.spaced { 2 } else { 1 })
    }

    /// What a token adds to the text after the token before it: many tokens carry their own space.
    fn piece(&self, before: Option<u32>, id: u32) -> String {
        let decode = |ids: &[u32]| self.tokenizer.decode(ids, false).ok();
        let alone = || decode(&[id]).unwrap_or_else(|| format!("<{id}>"));
        let text = match before {
            Some(before) if !self.spaced && before != self.mask => decode(&[before, id])
                .zip(decode(&[before]))
                .and_then(|(both, first)| Some(both.strip_prefix(first.as_str())?.to_owned()))
                .unwrap_or_else(alone),
            _ => alone(),
        };
        printable(&text).replace('\t', "⇥")
    }
}

/// Lays cells out on lines of at most `width` columns; also says which line the last new token is
/// on. Without a width everything is one line.
pub(crate) fn lines(
    cells: &[Cell],
    spaced: bool,
    width: Option<usize>,
    style: Style,
) -> (Vec<String>, usize) {
    let (mut lines, mut column, mut newest) = (vec![String::new()], 0, 0);
    for cell in cells {
        let (text, ends_line) = match cell.text.split_once('\n') {
            Some(_) => (cell.text.replace('\n', "↵"), width.is_some()),
            None => (cell.text.clone(), false),
        };
        let bracket = style == Style::Plain && cell.place == Place::New;
        let mut columns = columns(&text) + if bracket { 2 } else { 0 };
        if width.is_some_and(|width| column > 0 && column + columns + usize::from(spaced) > width) {
            lines.push(String::new());
            column = 0;
        }
        // The vector is never empty: it starts with a line and only grows.
        let at = lines.len() - 1;
        if spaced && column > 0 {
            lines[at].push(' ');
            columns += 1;
        }
        match (style, cell.place) {
            (Style::Plain, Place::New) => lines[at] += &format!("[{text}]"),
            (Style::Plain, _) | (Style::Color, Place::Old) => lines[at] += &text,
            (Style::Color, place) => lines[at] += &format!("\x1b[{}m{text}\x1b[0m", code(place)),
        }
        column += columns;
        if cell.place == Place::New {
            newest = at;
        }
        if ends_line {
            lines.push(String::new());
            column = 0;
        }
    }
    (lines, newest)
}

fn code(place: Place) -> &'static str {
    match place {
        Place::Masked | Place::End => "2",
        Place::Active => "36",
        Place::New => "1;32",
        Place::Old => "0",
    }
}

/// At most `most` lines around line `focus`, cut ends marked.
pub(crate) fn around(lines: Vec<String>, focus: usize, most: usize) -> Vec<String> {
    if lines.len() <= most {
        return lines;
    }
    let first = focus.saturating_sub(most / 2).min(lines.len() - most);
    let last = first + most - 1;
    let shown = lines.iter().enumerate().skip(first).take(most);
    shown
        .map(|(index, line)| match index {
            _ if index == first && first > 0 => "⋯".to_owned(),
            _ if index == last && last + 1 < lines.len() => "⋯".to_owned(),
            _ => line.clone(),
        })
        .collect()
}

/// Columns that a text takes in a terminal: East Asian characters and emoji two, combining marks
/// none.
pub(crate) fn columns(text: &str) -> usize {
    let wide = |c: char| {
        matches!(c, '\u{1100}'..='\u{115f}' | '\u{2e80}'..='\u{a4cf}' | '\u{ac00}'..='\u{d7a3}'
            | '\u{f900}'..='\u{faff}' | '\u{fe30}'..='\u{fe6f}' | '\u{ff00}'..='\u{ff60}'
            | '\u{ffe0}'..='\u{ffe6}' | '\u{1f300}'..='\u{1faff}' | '\u{20000}'..='\u{3fffd}')
    };
    let none = |c: char| matches!(c, '\u{300}'..='\u{36f}' | '\u{200b}'..='\u{200f}' | '\u{fe00}'..='\u{fe0f}');
    text.chars()
        .map(|c| match c {
            _ if none(c) => 0,
            _ if wide(c) => 2,
            _ => 1,
        })
        .sum()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use afterthought_text::{SpecialTokens, char_level, word_level};

    const MASK: u32 = 2;
    const END: u32 = 1;

    fn drawn(
        tokenizer: &Tokenizer,
        text: &str,
        new: &[usize],
        width: Option<usize>,
    ) -> Vec<String> {
        let cells = Cells::new(tokenizer, MASK, END).unwrap();
        let ids = tokenizer.encode(text).unwrap();
        let cells_of = cells.of(&ids, new, 2..4);
        lines(&cells_of, cells.spaced, width, Style::Plain).0
    }

    #[test]
    fn words_are_spaced_and_wrapped() {
        let words = ["forced", "r1c2=3", "wait"].map(str::to_owned);
        let tokenizer = word_level(&words, &SpecialTokens::default()).unwrap();
        let text = "forced <mask> r1c2=3 <mask> <mask> wait <eos>";
        let one = "forced ░░ [r1c2=3] ▒▒ ░░ wait ·";
        assert_eq!(drawn(&tokenizer, text, &[2], None), [one]);
        let wrapped = drawn(&tokenizer, text, &[2], Some(13));
        assert_eq!(wrapped, ["forced ░░", "[r1c2=3] ▒▒", "░░ wait ·"]);
        assert!(wrapped.iter().all(|line| columns(line) <= 13));
    }

    #[test]
    fn characters_are_not_spaced_and_cannot_drive_the_terminal() {
        let tokenizer = char_level("ab \n\u{1b}漢", &SpecialTokens::default()).unwrap();
        let text = "a b<mask>\n\u{1b}漢<eos>";
        assert_eq!(drawn(&tokenizer, text, &[], None), ["a b▒↵\\u{1b}漢·"]);
        assert_eq!(drawn(&tokenizer, text, &[], Some(80)), ["a b▒↵", "\\u{1b}漢·"]);
    }

    #[test]
    fn long_canvases_show_the_lines_around_the_newest_token() {
        let numbers = |range: std::ops::Range<usize>| range.map(|n| n.to_string()).collect();
        let all: Vec<String> = numbers(0..10);
        assert_eq!(around(all.clone(), 0, 4), ["0", "1", "2", "⋯"]);
        assert_eq!(around(all.clone(), 5, 4), ["⋯", "4", "5", "⋯"]);
        assert_eq!(around(all.clone(), 9, 4), ["⋯", "7", "8", "9"]);
        assert_eq!(around(all.clone(), 9, 10), all);
    }

    #[test]
    fn new_tokens_are_coloured() {
        let cell = Cell { text: "x".to_owned(), place: Place::New };
        let (drawn, newest) = lines(&[cell], true, Some(9), Style::Color);
        assert_eq!((drawn[0].as_str(), newest), ("\x1b[1;32mx\x1b[0m", 0));
    }
}
