use std::collections::HashSet;

use serde_json::{Map, Value, json};

use crate::{Error, Tokenizer};

/// The unknown token of the files built here. The file format wants one; encoding never yields it.
pub const UNKNOWN_TOKEN: &str = "<unk>";

/// The special tokens of a small vocabulary.
///
/// Their ids come first, in this order: `bos` 0, `eos` 1, `mask` 2, [`UNKNOWN_TOKEN`] 3, then `pad`
/// if there is one, then `others`. Each is recognised wherever a text spells it out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpecialTokens {
    /// Begins a sequence.
    pub bos: String,
    /// Ends a sequence.
    pub eos: String,
    /// Fills rows of unequal length, if not `eos`.
    pub pad: Option<String>,
    /// Stands for a token that is not known yet, in masked diffusion.
    pub mask: String,
    /// Further tokens, such as those of a chat template.
    pub others: Vec<String>,
}

impl Default for SpecialTokens {
    /// `<bos>`, `<eos>`, `<pad>`, `<mask>` and no others.
    fn default() -> Self {
        Self {
            bos: "<bos>".to_owned(),
            eos: "<eos>".to_owned(),
            pad: Some("<pad>".to_owned()),
            mask: "<mask>".to_owned(),
            others: Vec::new(),
        }
    }
}

impl SpecialTokens {
    /// All of them in the order of their ids, [`UNKNOWN_TOKEN`] included.
    fn in_order(&self) -> impl Iterator<Item = &str> {
        [&*self.bos, &*self.eos, &*self.mask, UNKNOWN_TOKEN]
            .into_iter()
            .chain(self.pad.as_deref())
            .chain(self.others.iter().map(String::as_str))
    }
}

/// A tokenizer whose tokens are the words of `words`, separated by white space in the text and by
/// one space when decoded.
///
/// Word `i` has the id `i` + number of special tokens.
///
/// # Errors
/// [`Error::RepeatedToken`] if a word or special token occurs twice; [`Error::UnusableToken`] if
/// one is empty, or a word has white space or a special token within it.
pub fn word_level(words: &[String], special: &SpecialTokens) -> Result<Tokenizer, Error> {
    for word in words {
        let reason = if word.contains(char::is_whitespace) {
            "words are split at white space"
        } else if special.in_order().any(|s| !s.is_empty() && s != word && word.contains(s)) {
            "a special token within it would be split off"
        } else {
            continue;
        };
        return Err(Error::UnusableToken { token: word.clone(), reason });
    }
    build(words.iter().cloned(), special, json!({"type": "WhitespaceSplit"}), Value::Null)
}

/// A tokenizer whose tokens are the characters of `alphabet`; decoding what was encoded gives the
/// same text, white space included.
///
/// Character `i` of `alphabet` has the id `i` + number of special tokens.
///
/// # Errors
/// [`Error::RepeatedToken`] if a character or special token occurs twice;
/// [`Error::UnusableToken`] if a special token is empty.
pub fn char_level(alphabet: &str, special: &SpecialTokens) -> Result<Tokenizer, Error> {
    let split = json!({
        "type": "Split",
        // Not `.`, which leaves out line ends, and whose flag for them differs between the regular
        // expression engines in use.
        "pattern": {"Regex": r"[\s\S]"},
        "behavior": "Isolated",
        "invert": false,
    });
    build(alphabet.chars().map(String::from), special, split, json!({"type": "Fuse"}))
}

fn build(
    words: impl Iterator<Item = String>,
    special: &SpecialTokens,
    pre_tokenizer: Value,
    decoder: Value,
) -> Result<Tokenizer, Error> {
    let mut seen = HashSet::new();
    let mut vocab = Map::new();
    let tokens = special.in_order().map(str::to_owned).chain(words);
    for (id, token) in tokens.enumerate() {
        if token.is_empty() {
            return Err(Error::UnusableToken { token, reason: "it is empty" });
        }
        if !seen.insert(token.clone()) {
            return Err(Error::RepeatedToken { token });
        }
        vocab.insert(token, id.into());
    }
    let added: Vec<Value> = special
        .in_order()
        .enumerate()
        .map(|(id, content)| {
            json!({
                "id": id, "content": content, "single_word": false, "lstrip": false,
                "rstrip": false, "normalized": false, "special": true,
            })
        })
        .collect();
    let file = json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added,
        "normalizer": null,
        "pre_tokenizer": pre_tokenizer,
        "post_processor": null,
        "decoder": decoder,
        "model": {"type": "WordLevel", "vocab": vocab, "unk_token": UNKNOWN_TOKEN},
    });
    Tokenizer::from_bytes(format!("{file:#}\n"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn words_round_trip_with_specials_first() {
        let special =
            SpecialTokens { others: vec!["<sep>".to_owned()], ..SpecialTokens::default() };
        let tokenizer = word_level(&words("( 1 2 + = )"), &special).unwrap();
        for (id, token) in
            ["<bos>", "<eos>", "<mask>", "<unk>", "<pad>", "<sep>"].iter().enumerate()
        {
            assert_eq!(tokenizer.token_to_id(token).unwrap(), id as u32);
        }
        assert_eq!(tokenizer.vocab_size(), 12);
        let text = "( 1 + 2 ) = 1";
        let ids = tokenizer.encode(text).unwrap();
        assert_eq!(ids, [6, 7, 9, 8, 11, 10, 7]);
        assert_eq!(tokenizer.decode(&ids, true).unwrap(), text);
        assert_eq!(tokenizer.encode("<bos>1 <mask><eos>").unwrap(), [0, 7, 2, 1]);
        assert_eq!(tokenizer.decode(&[0, 7, 2, 1], true).unwrap(), "1");
    }

    #[test]
    fn without_pad_the_first_four_ids_stay() {
        let special = SpecialTokens { pad: None, ..SpecialTokens::default() };
        let tokenizer = char_level("ab", &special).unwrap();
        assert_eq!(tokenizer.encode("<unk>").unwrap_err().to_string(), unknown("<unk>", 0));
        assert_eq!(tokenizer.encode("ab<mask>").unwrap(), [4, 5, 2]);
    }

    fn unknown(word: &str, offset: usize) -> String {
        format!("byte {offset}: {word:?} is not in the vocabulary")
    }

    #[test]
    fn unknown_words_are_errors_that_name_them() {
        let tokenizer = word_level(&words("é 2"), &SpecialTokens::default()).unwrap();
        let error = tokenizer.encode("é 2 three 2").unwrap_err();
        assert_eq!(error.to_string(), unknown("three", 5));
        let tokenizer = char_level("é ", &SpecialTokens::default()).unwrap();
        let error = tokenizer.encode("é éxé").unwrap_err();
        assert_eq!(error.to_string(), unknown("x", 5));
    }

    #[test]
    fn characters_round_trip_with_white_space() {
        let alphabet = "abc 0123\n\t.()\"\\éß漢😀";
        let tokenizer = char_level(alphabet, &SpecialTokens::default()).unwrap();
        for text in ["", " ", "a  b\n\n c\t", "漢😀 é\"ß\\", " (1.0) ", "\n"] {
            let ids = tokenizer.encode(text).unwrap();
            assert_eq!(ids.len(), text.chars().count());
            assert_eq!(tokenizer.decode(&ids, true).unwrap(), text);
        }
        let ids = tokenizer.encode("<bos> a <eos> ").unwrap();
        assert_eq!(tokenizer.decode(&ids, false).unwrap(), "<bos> a <eos> ");
        assert_eq!(tokenizer.decode(&ids, true).unwrap(), " a  ");
    }

    #[test]
    fn saved_and_loaded_gives_the_same_ids() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tokenizer.json");
        let special = SpecialTokens::default();
        for (built, text) in [
            (word_level(&words("one two three"), &special).unwrap(), "two one three <eos>"),
            (char_level("one tw", &special).unwrap(), "two one <eos>"),
        ] {
            built.save(&path).unwrap();
            let loaded = Tokenizer::from_file(&path).unwrap();
            assert_eq!(loaded.encode(text).unwrap(), built.encode(text).unwrap());
            assert_eq!(loaded.vocab_size(), built.vocab_size());
            assert!(matches!(loaded.encode("zwei"), Err(Error::UnknownWord { .. })));
        }
    }

    #[test]
    fn vocabularies_that_cannot_work() {
        let special = SpecialTokens::default();
        let build = |text: &str| word_level(&words(text), &special).unwrap_err().to_string();
        assert_eq!(build("a b a"), r#""a" occurs twice in the vocabulary"#);
        assert_eq!(build("<eos>"), r#""<eos>" occurs twice in the vocabulary"#);
        assert!(build("a<eos>").contains("special token within it"));
        assert!(build("a\tb").contains("white space"));
        assert!(build("a  b").contains("empty"));
        assert!(matches!(char_level("aa", &special), Err(Error::RepeatedToken { .. })));
        let twice = SpecialTokens { pad: Some("<eos>".to_owned()), ..special };
        assert!(matches!(char_level("a", &twice), Err(Error::RepeatedToken { .. })));
    }
}
