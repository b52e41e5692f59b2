use std::path::Path;
use std::sync::Arc;

use tokenizers::ModelWrapper;

use crate::Error;

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
        Ok(Self { inner, source: bytes.into(), unknown })
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
        let fail = |source| Error::Encode { text: text.chars().take(80).collect(), source };
        let encoding = self.inner.encode_fast(text, false).map_err(fail)?;
        let ids = encoding.get_ids();
        if let Some(at) = ids.iter().position(|&id| Some(id) == self.unknown) {
            // Offsets cost time, so they are computed only to name the word.
            let slow = self.inner.encode(text, false).map_err(fail)?;
            let (start, end) = slow.get_offsets().get(at).copied().unwrap_or((0, text.len()));
            let word = text.get(start..end).unwrap_or(text).to_owned();
            return Err(Error::UnknownWord { word, offset: start });
        }
        Ok(ids.to_vec())
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
