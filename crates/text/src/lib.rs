//! Text in, token ids out.
//!
//! - [`Tokenizer`] reads, writes and applies `tokenizer.json` files;
//! - [`word_level`] and [`char_level`] build such files for models trained from nothing;
//! - [`Dataset`], [`Rows`] and [`RecordWriter`] read and write JSONL [`Record`]s;
//! - [`ChatTemplate`] writes conversations as a model wants them;
//! - [`Encoder`] turns records into token ids with a loss mask: [`Encoded`].
//!
//! Nothing is dropped in silence: a word outside a closed vocabulary, an id without a token, a row
//! that cannot be used, a template that does not end are all typed and say where.

mod chat;
mod encode;
mod error;
mod jsonl;
mod message;
mod small;
mod spelling;
mod tokenizer;

pub use chat::ChatTemplate;
pub use encode::{Encoded, Encoder, SpecialInContent, Warning};
pub use error::Error;
pub use jsonl::{
    BadRows, Checker, Content, DEFAULT_LINE_CAP, Dataset, Format, Problem, ProblemKind, Record,
    RecordWriter, Row, Rows,
};
pub use message::Message;
pub use small::{SpecialTokens, UNKNOWN_TOKEN, char_level, word_level};
pub use tokenizer::{AddedToken, Tokenizer, Tokens};
