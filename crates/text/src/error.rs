use std::path::PathBuf;

/// What can go wrong with tokenizers and records.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file cannot be opened, read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The bytes are not a tokenizer that the `tokenizers` library accepts.
    #[error("{origin}: not a tokenizer.json")]
    Tokenizer {
        /// The file, or `<memory>`.
        origin: String,
        /// What the library said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The `tokenizers` library failed to encode.
    #[error("cannot encode {text:?}")]
    Encode {
        /// The text, cut to its first 80 characters.
        text: String,
        /// What the library said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The `tokenizers` library failed to decode.
    #[error("cannot decode {ids} ids")]
    Decode {
        /// How many ids there were.
        ids: usize,
        /// What the library said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The text has a word that a closed vocabulary lacks.
    #[error("byte {offset}: {word:?} is not in the vocabulary")]
    UnknownWord {
        /// The word (a single character at character level).
        word: String,
        /// Byte offset of the word in the text.
        offset: usize,
    },
    /// The tokenizer has no such token.
    #[error("the tokenizer has no token {token:?}")]
    UnknownToken {
        /// The token that was asked for.
        token: String,
    },
    /// No token has this id.
    #[error("no token has the id {id} (the vocabulary has {vocab_size} tokens)")]
    UnknownId {
        /// The id that was asked for.
        id: u32,
        /// Number of tokens, added ones included.
        vocab_size: usize,
    },
    /// The same entry occurs twice in a vocabulary, or is also a special token.
    #[error("{token:?} occurs twice in the vocabulary")]
    RepeatedToken {
        /// The entry.
        token: String,
    },
    /// A vocabulary entry that can never be produced by encoding.
    #[error("{token:?} cannot be a vocabulary entry: {reason}")]
    UnusableToken {
        /// The entry.
        token: String,
        /// Why not.
        reason: &'static str,
    },
    /// A line is not a valid record.
    #[error("{origin}:{line}:{column}: {message}")]
    Record {
        /// The file, or the name given to the reader.
        origin: String,
        /// Line number, from 1.
        line: u64,
        /// Byte column, from 1.
        column: usize,
        /// What is wrong.
        message: String,
    },
    /// A line is not UTF-8.
    #[error("{origin}:{line}:{column}: byte 0x{byte:02x} is not valid UTF-8")]
    InvalidUtf8 {
        /// The file, or the name given to the reader.
        origin: String,
        /// Line number, from 1.
        line: u64,
        /// Byte column of the first wrong byte, from 1.
        column: usize,
        /// That byte.
        byte: u8,
    },
    /// A line is longer than the reader accepts.
    #[error("{origin}:{line}:{column}: the line is longer than {cap} bytes")]
    LineTooLong {
        /// The file, or the name given to the reader.
        origin: String,
        /// Line number, from 1.
        line: u64,
        /// Byte column of the first byte too many, from 1.
        column: usize,
        /// The cap in bytes.
        cap: usize,
    },
    /// A record to be written has an extra column named like a field.
    #[error(
        "{origin}: record {record} has an extra column {column:?}, which is the name of a field"
    )]
    ReservedColumn {
        /// The file, or the name given to the writer.
        origin: String,
        /// Number of the record, from 1.
        record: u64,
        /// The column.
        column: &'static str,
    },
}
