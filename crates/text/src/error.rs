use std::path::PathBuf;

use crate::jsonl::Problem;

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
    /// A special token cannot be written as ordinary text with this tokenizer.
    #[error("the tokenizer has no way to write {token:?} as ordinary text")]
    Indivisible {
        /// The token.
        token: String,
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
    /// A line holds no usable record.
    #[error("{origin}:{problem}")]
    Row {
        /// The file, or the name given to the reader.
        origin: String,
        /// What is wrong, and where.
        problem: Problem,
    },
    /// Some lines of a file hold no usable record, and bad rows are not to be skipped.
    #[error("{bad} of {rows} rows of {origin} are bad; the first: {origin}:{first}")]
    BadRows {
        /// The file, or the name given to the reader.
        origin: String,
        /// Lines without a usable record.
        bad: u64,
        /// All lines that should hold a record.
        rows: u64,
        /// What is wrong with the first of them.
        first: Problem,
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
    /// A model directory has no chat template.
    #[error("{}: no chat template (chat_template.jinja, or chat_template in tokenizer_config.json)", directory.display())]
    NoTemplate {
        /// The directory.
        directory: PathBuf,
    },
    /// A file that belongs to a chat template is not what it should be.
    #[error("{}: {reason}", path.display())]
    ChatFile {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A chat template is malformed or failed.
    #[error("{origin}:{line}: {reason}")]
    Template {
        /// The file, or the name given to the template.
        origin: String,
        /// Line of the template, from 1; 0 where nobody knows.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// A chat template refused the messages through `raise_exception`.
    #[error("{origin}:{line}: the template refuses these messages: {message}")]
    Refused {
        /// The file, or the name given to the template.
        origin: String,
        /// Line of the template, from 1.
        line: usize,
        /// What the template says.
        message: String,
    },
    /// A chat template ran longer or wrote more than a chat can need.
    #[error("{origin}: the template does not end: {limit}")]
    Unbounded {
        /// The file, or the name given to the template.
        origin: String,
        /// The limit that it met.
        limit: String,
    },
    /// Nobody can tell which part of a rendered chat the assistant wrote.
    #[error("{origin}: cannot tell what the assistant says in message {message}: {reason}")]
    NoMask {
        /// The file, or the name given to the template.
        origin: String,
        /// Index of the message, from 0.
        message: usize,
        /// Why not.
        reason: String,
    },
    /// A record has nothing that a chat could be made of.
    #[error("a chat needs at least one message")]
    EmptyChat,
}
