use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;
use tokenizers::{
    Model, ModelWrapper, NormalizedString, Normalizer, OffsetType, PreTokenizedString, PreTokenizer,
};

use crate::Error;

/// Token ids, and for each the half-open range of bytes of the text that it came from.
///
/// Tokens of one character share its whole range, and a token that the tokenizer puts in by itself
/// (such as a prefix space) has an empty one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    /// Token ids.
    pub ids: Vec<u32>,
    /// Byte ranges, as many as `ids`.
    pub offsets: Vec<(usize, usize)>,
}

/// A `tokenizer.json`: text to token ids and back.
///
/// The file's own truncation and padding settings are not applied: `encode` returns every token of
/// the text and nothing else. [`Tokenizer::save`] writes the bytes that were loaded, unchanged.
#[derive(Clone, Debug)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    source: Arc<[u8]>,
    /// The unknown token of a word-level model: its vocabulary is closed, so this id is an error.
    unknown: Option<u32>,
    /// The token for what an open vocabulary cannot say, if it has one.
    replacement: Option<u32>,
}

impl Tokenizer {
    /// Reads a `tokenizer.json` file.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read, [`Error::Tokenizer`] if it is not a tokenizer.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let bytes =
            std::fs::read(path).map_err(|source| Error::Io { path: path.to_path_buf(), source })?;
        Self::parse(bytes, || path.display().to_string())
    }

    /// Reads the bytes of a `tokenizer.json` file.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] if they are not a tokenizer.
    pub fn from_bytes(bytes: impl Into<Vec<u8>>) -> Result<Self, Error> {
        Self::parse(bytes.into(), || "<memory>".to_owned())
    }

    fn parse(bytes: Vec<u8>, origin: impl Fn() -> String) -> Result<Self, Error> {
        let fail = |source| Error::Tokenizer { origin: origin(), source };
        let mut inner = tokenizers::Tokenizer::from_bytes(&bytes).map_err(&fail)?;
        inner.with_truncation(None).map_err(&fail)?.with_padding(None);
        let unknown = match inner.get_model() {
            ModelWrapper::WordLevel(model) => inner.token_to_id(&model.unk_token),
            _ => None,
        };
        let replacement = unknown.is_none().then(|| replacement(&inner, &bytes)).flatten();
        Ok(Self { inner, source: bytes.into(), unknown, replacement })
    }

    /// Writes the `tokenizer.json` file, byte for byte as it was loaded or built.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        let path = path.as_ref();
        std::fs::write(path, &self.source)
            .map_err(|source| Error::Io { path: path.to_path_buf(), source })
    }

    /// The bytes of the `tokenizer.json` file.
    pub fn as_bytes(&self) -> &[u8] {
        &self.source
    }

    /// The token ids of `text`. No special token is added; one that is spelt out in the text is
    /// recognised.
    ///
    /// # Errors
    /// [`Error::UnknownWord`] if the model is word level and lacks a word of the text,
    /// [`Error::Encode`] if the library fails. (Models of other kinds have their own
    /// way with rare characters, such as bytes; their unknown token is passed through.)
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, Error> {
        let encoding =
            self.inner.encode_fast(text, false).map_err(|source| encode_error(text, source))?;
        let ids = encoding.get_ids();
        if ids.iter().any(|&id| Some(id) == self.unknown) {
            // Offsets cost time, so they are computed only to name the word.
            return self.encode_with_offsets(text).map(|tokens| tokens.ids);
        }
        Ok(ids.to_vec())
    }

    /// What [`Self::encode`] gives, with the bytes that each token came from.
    ///
    /// # Errors
    /// Those of [`Self::encode`].
    pub fn encode_with_offsets(&self, text: &str) -> Result<Tokens, Error> {
        let encoding =
            self.inner.encode(text, false).map_err(|source| encode_error(text, source))?;
        self.checked(text, &encoding)
    }

    /// Like [`Self::encode_with_offsets`], with added tokens that are spelt out in the text read as
    /// ordinary text.
    ///
    /// # Errors
    /// Those of [`Self::encode`]; [`Error::Indivisible`] if the tokenizer makes an added token even
    /// so, because its model has it as a word.
    pub fn encode_as_text(&self, text: &str) -> Result<Tokens, Error> {
        let fail = |source| encode_error(text, source);
        let mut normalized = NormalizedString::from(text);
        if let Some(normalizer) = self.inner.get_normalizer() {
            normalizer.normalize(&mut normalized).map_err(fail)?;
        }
        let mut pieces = PreTokenizedString::from(normalized);
        if let Some(pre_tokenizer) = self.inner.get_pre_tokenizer() {
            pre_tokenizer.pre_tokenize(&mut pieces).map_err(fail)?;
        }
        let model = self.inner.get_model();
        pieces.tokenize(|piece| model.tokenize(piece.get())).map_err(fail)?;
        let encoding = pieces.into_encoding(None, 0, OffsetType::Byte).map_err(fail)?;
        let tokens = self.checked(text, &encoding)?;
        let added = self.inner.get_added_vocabulary();
        let added = |id: &&u32| {
            Some(**id) != self.replacement && added.get_added_tokens_decoder().contains_key(id)
        };
        match tokens.ids.iter().find(added) {
            Some(&id) => Err(Error::Indivisible { token: self.id_to_token(id)? }),
            None => Ok(tokens),
        }
    }

    fn checked(&self, text: &str, encoding: &tokenizers::Encoding) -> Result<Tokens, Error> {
        let (ids, offsets) = (encoding.get_ids().to_vec(), encoding.get_offsets().to_vec());
        if let Some(at) = ids.iter().position(|&id| Some(id) == self.unknown) {
            let (start, end) = offsets[at];
            let word = text.get(start..end).unwrap_or(text).to_owned();
            return Err(Error::UnknownWord { word, offset: start });
        }
        Ok(Tokens { ids, offsets })
    }

    /// Every added token, the longest first.
    pub fn added_tokens(&self) -> Vec<AddedToken> {
        let added = self.inner.get_added_vocabulary().get_added_tokens_decoder();
        let mut tokens: Vec<AddedToken> = added
            .iter()
            .map(|(&id, token)| AddedToken {
                id,
                text: token.content.clone(),
                special: token.special,
            })
            .collect();
        tokens.sort_by(|a, b| b.text.len().cmp(&a.text.len()).then(a.id.cmp(&b.id)));
        tokens
    }

    /// The ids that the file's own post-processing puts before and after a text, such as a
    /// begin-of-sequence token. [`Self::encode`] adds none of them.
    ///
    /// # Errors
    /// [`Error::Encode`] if the library fails.
    pub fn wrapping(&self) -> Result<(Vec<u32>, Vec<u32>), Error> {
        // Any text would do. One that is no word gives an unknown token, which is not added here.
        let probe = self.inner.encode("a", true).map_err(|source| encode_error("a", source))?;
        let (ids, added) = (probe.get_ids(), probe.get_special_tokens_mask());
        let before = added.iter().take_while(|&&added| added == 1).count();
        let after = added[before..].iter().rev().take_while(|&&added| added == 1).count();
        Ok((ids[..before].to_vec(), ids[ids.len() - after..].to_vec()))
    }

    /// How many of `ids` are the token for what the vocabulary cannot say. Always 0 for a closed
    /// vocabulary, where such a word is an error.
    pub fn count_unknown(&self, ids: &[u32]) -> usize {
        ids.iter().filter(|&&id| Some(id) == self.replacement).count()
    }

    /// The text of `ids`; special tokens are left out if `skip_special`.
    ///
    /// # Errors
    /// [`Error::UnknownId`] if an id has no token, [`Error::Decode`] if the library fails.
    pub fn decode(&self, ids: &[u32], skip_special: bool) -> Result<String, Error> {
        // The library would drop such ids.
        for &id in ids {
            self.id_to_token(id)?;
        }
        self.inner
            .decode(ids, skip_special)
            .map_err(|source| Error::Decode { ids: ids.len(), source })
    }

    /// The id of `token`, added tokens included.
    ///
    /// # Errors
    /// [`Error::UnknownToken`] if there is none.
    pub fn token_to_id(&self, token: &str) -> Result<u32, Error> {
        self.inner.token_to_id(token).ok_or_else(|| Error::UnknownToken { token: token.to_owned() })
    }

    /// The token whose id is `id`, added tokens included.
    ///
    /// # Errors
    /// [`Error::UnknownId`] if there is none.
    pub fn id_to_token(&self, id: u32) -> Result<String, Error> {
        self.inner
            .id_to_token(id)
            .ok_or_else(|| Error::UnknownId { id, vocab_size: self.vocab_size() })
    }

    /// Number of tokens, added ones included. Tokenizers in the wild can have gaps between ids, and
    /// models more rows than their tokenizer has tokens.
    pub fn vocab_size(&self) -> usize {
        self.inner.get_vocab_size(true)
    }
}

/// A token that stands apart from the model's own vocabulary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddedToken {
    /// Its id.
    pub id: u32,
    /// How it is spelt.
    pub text: String,
    /// Whether decoding may skip it.
    pub special: bool,
}

fn encode_error(text: &str, source: tokenizers::Error) -> Error {
    Error::Encode { text: text.chars().take(80).collect(), source }
}

/// The unknown token of a model with an open vocabulary. The library keeps it private.
fn replacement(inner: &tokenizers::Tokenizer, bytes: &[u8]) -> Option<u32> {
    #[derive(Deserialize)]
    struct File {
        model: Unknown,
    }
    #[derive(Deserialize)]
    struct Unknown {
        unk_token: Option<String>,
        unk_id: Option<u32>,
    }
    let Unknown { unk_token, unk_id } = serde_json::from_slice::<File>(bytes).ok()?.model;
    unk_id.or_else(|| inner.token_to_id(&unk_token?))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    /// A file of another kind of model, with truncation and padding switched on.
    const BPE: &str = r#"{
        "version": "1.0",
        "truncation": {"direction": "Right", "max_length": 1, "strategy": "LongestFirst", "stride": 0},
        "padding": {"strategy": {"Fixed": 9}, "direction": "Right", "pad_to_multiple_of": null,
                    "pad_id": 0, "pad_type_id": 0, "pad_token": "<pad>"},
        "added_tokens": [{"id": 4, "content": "<eos>", "single_word": false, "lstrip": false,
                          "rstrip": false, "normalized": false, "special": true}],
        "normalizer": null, "pre_tokenizer": null, "post_processor": null,
        "decoder": {"type": "Fuse"},
        "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
                  "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false,
                  "vocab": {"a": 0, "b": 1, "ab": 2, "c": 3}, "merges": ["a b"]}
    }"#;

    #[test]
    fn truncation_and_padding_of_the_file_are_not_applied() {
        let tokenizer = Tokenizer::from_bytes(BPE).unwrap();
        assert_eq!(tokenizer.encode("abcab<eos>").unwrap(), [2, 3, 2, 4]);
        assert_eq!(tokenizer.decode(&[2, 3, 2, 4], false).unwrap(), "abcab<eos>");
        assert_eq!(tokenizer.decode(&[2, 3, 2, 4], true).unwrap(), "abcab");
        assert_eq!(tokenizer.vocab_size(), 5);
    }

    #[test]
    fn saving_writes_the_very_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tokenizer.json");
        Tokenizer::from_bytes(BPE).unwrap().save(&path).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), BPE.as_bytes());
        let read = Tokenizer::from_file(&path).unwrap();
        assert_eq!(read.encode("ab").unwrap(), [2]);
        assert_eq!(read.as_bytes(), BPE.as_bytes());
    }

    #[test]
    fn tokens_and_ids_that_do_not_exist_are_named() {
        let tokenizer = Tokenizer::from_bytes(BPE).unwrap();
        assert_eq!(tokenizer.token_to_id("<eos>").unwrap(), 4);
        assert_eq!(tokenizer.id_to_token(2).unwrap(), "ab");
        let error = tokenizer.token_to_id("<mask>").unwrap_err();
        assert!(matches!(&error, Error::UnknownToken { token } if token == "<mask>"));
        for result in [tokenizer.decode(&[0, 7], false), tokenizer.id_to_token(7)] {
            assert!(matches!(result, Err(Error::UnknownId { id: 7, vocab_size: 5 })));
        }
    }

    #[test]
    fn files_that_are_not_tokenizers() {
        let error = Tokenizer::from_bytes("{}").unwrap_err();
        assert_eq!(error.to_string(), "<memory>: not a tokenizer.json");
        assert!(std::error::Error::source(&error).is_some());
        let error = Tokenizer::from_file("no/such/tokenizer.json").unwrap_err();
        assert!(error.to_string().starts_with("no/such/tokenizer.json: "));
    }
}
