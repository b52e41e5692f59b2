/// Finds tokens that are spelt out in a text; of two at one place, the longer.
#[derive(Clone, Debug)]
pub(crate) struct Spellings<'a> {
    tokens: Vec<&'a str>,
    /// Which bytes a token begins with: most of a text needs no closer look.
    first: [bool; 256],
}

impl<'a> Spellings<'a> {
    /// Of `tokens`, the longest first. Empty ones and those of white space are left out: templates
    /// and messages have them as ordinary text.
    pub(crate) fn new(tokens: impl Iterator<Item = &'a str>) -> Self {
        let tokens: Vec<&str> = tokens.filter(|token| !token.trim().is_empty()).collect();
        let mut first = [false; 256];
        for token in &tokens {
            first[usize::from(token.as_bytes()[0])] = true;
        }
        Self { tokens, first }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// The byte ranges of the tokens in a text, in order.
    pub(crate) fn find(&self, text: &str) -> Vec<std::ops::Range<usize>> {
        let (mut found, mut at) = (Vec::new(), 0);
        while at < text.len() {
            let rest = &text.as_bytes()[at..];
            let begins = |token: &&&str| rest.starts_with(token.as_bytes());
            let here = self.first[usize::from(rest[0])];
            match self.tokens.iter().filter(|_| here).find(begins) {
                Some(token) => {
                    found.push(at..at + token.len());
                    at += token.len();
                }
                None => at += 1,
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_token_at_a_place() {
        let spellings = Spellings::new(["<s>>", "<s>", "é", " ", ""].into_iter());
        assert_eq!(spellings.find("x<s><s>>é é<s"), [1..4, 4..8, 8..10, 11..13]);
        assert!(spellings.find("漢è").is_empty());
        assert!(Spellings::new(["\n"].into_iter()).is_empty());
    }
}
