use std::fmt;
use std::ops::Range;

use crate::tokenizer::Tokens;

/// A row as tokens, and which of them are learnt.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Encoded {
    /// Token ids.
    pub ids: Vec<u32>,
    /// For each id whether the model learns to write it.
    pub loss_mask: Vec<bool>,
    /// The text that was encoded.
    pub text: String,
    /// For each id the bytes of `text` that it came from; empty for tokens that were put in.
    pub offsets: Vec<(usize, usize)>,
    /// What to know before training on this.
    pub warnings: Vec<Warning>,
}

impl Encoded {
    /// Tokens that are learnt.
    pub fn trained(&self) -> usize {
        self.loss_mask.iter().filter(|trained| **trained).count()
    }

    /// A token is learnt if any byte of it lies in one of `spans`, so also one that straddles an
    /// edge: the model must write it to write what is inside. A token without bytes (a prefix space
    /// that the tokenizer puts in) belongs to what follows it.
    pub(super) fn new(text: String, tokens: Tokens, spans: &[Range<usize>]) -> Self {
        let Tokens { ids, offsets } = tokens;
        let mut straddling = 0;
        let mut next = 0;
        let mut loss_mask = Vec::with_capacity(ids.len());
        for &(start, end) in &offsets {
            while spans.get(next).is_some_and(|span| span.end <= start) {
                next += 1;
            }
            let within = spans.get(next).filter(|span| {
                (start < span.end && span.start < end) || (start == end && span.contains(&start))
            });
            straddling +=
                usize::from(within.is_some_and(|span| start < span.start || span.end < end));
            loss_mask.push(within.is_some());
        }
        let warnings =
            (straddling > 0).then_some(Warning::StraddlingTokens(straddling)).into_iter().collect();
        Self { ids, loss_mask, text, offsets, warnings }
    }

    pub(super) fn push(&mut self, id: u32, trained: bool) {
        self.ids.push(id);
        self.loss_mask.push(trained);
        self.offsets.push((self.text.len(), self.text.len()));
    }
}

/// What is unusual about an encoded row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Warning {
    /// The tokenizer begins texts with a token that this one lacks.
    MissingBos,
    /// The begin-of-sequence token occurs twice at the beginning.
    RepeatedBos,
    /// Nothing tells the model to stop: what it learns does not end with a special token.
    MissingEos,
    /// No token is learnt.
    NothingLearnt,
    /// So many learnt tokens hold text of the other side of an edge too.
    StraddlingTokens(usize),
    /// So many special tokens are spelt out in messages and were read as such.
    SpecialTokensInContent(usize),
    /// So many tokens stand for text that the vocabulary cannot say.
    UnknownTokens(usize),
}

impl Warning {
    /// The warning in one word, for counts and machines.
    pub fn name(self) -> &'static str {
        match self {
            Self::MissingBos => "missing_bos",
            Self::RepeatedBos => "repeated_bos",
            Self::MissingEos => "missing_eos",
            Self::NothingLearnt => "nothing_learnt",
            Self::StraddlingTokens(_) => "straddling_tokens",
            Self::SpecialTokensInContent(_) => "special_tokens_in_content",
            Self::UnknownTokens(_) => "unknown_tokens",
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MissingBos => {
                f.write_str("the tokenizer begins texts with a token that the template lacks")
            }
            Self::RepeatedBos => f.write_str("the begin-of-sequence token occurs twice"),
            Self::MissingEos => f.write_str("what is learnt does not end with a special token"),
            Self::NothingLearnt => f.write_str("no token is learnt"),
            Self::StraddlingTokens(count) => {
                write!(f, "{count} tokens lie across the edge of what is learnt, and are learnt")
            }
            Self::SpecialTokensInContent(count) => {
                write!(f, "{count} special tokens are spelt out in messages and read as such")
            }
            Self::UnknownTokens(count) => {
                write!(f, "{count} tokens stand for text that the vocabulary cannot say")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_decide_what_is_learnt() {
        let tokens = |offsets: &[(usize, usize)]| Tokens {
            ids: vec![0; offsets.len()],
            offsets: offsets.to_vec(),
        };
        let encoded = |offsets: &[(usize, usize)]| {
            Encoded::new("0123456789".into(), tokens(offsets), &[2..4, 4..4, 6..9])
        };
        let clean = encoded(&[(0, 2), (2, 3), (2, 3), (3, 4), (4, 6), (6, 9), (9, 10)]);
        assert_eq!(clean.loss_mask, [false, true, true, true, false, true, false]);
        assert_eq!((clean.trained(), clean.warnings), (4, Vec::new()));
        // One straddles the beginning, one the end, one both ends of the gap.
        let torn = encoded(&[(0, 3), (3, 7), (7, 10)]);
        assert_eq!(torn.loss_mask, [true, true, true]);
        assert_eq!(torn.warnings, [Warning::StraddlingTokens(3)]);
        let put_in = encoded(&[(2, 2), (4, 4), (6, 6), (9, 9)]);
        assert_eq!(put_in.loss_mask, [true, false, true, false]);
    }
}
