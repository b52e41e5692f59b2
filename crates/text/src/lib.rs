//! Text in, token ids out.
//!
//! - [`Tokenizer`] reads, writes and applies `tokenizer.json` files;
//! - [`word_level`] and [`char_level`] build such files for models trained from nothing;
//! - [`Records`] and [`RecordWriter`] read and write JSONL training and evaluation [`Record`]s.
//!
//! Nothing is dropped in silence: a word outside a closed vocabulary, an id without a token, a
//! byte that is not UTF-8, a repeated key are all typed [`Error`]s that say where.

mod error;
mod jsonl;
mod small;
mod tokenizer;

pub use error::Error;
pub use jsonl::{DEFAULT_LINE_CAP, Record, RecordWriter, Records};
pub use small::{SpecialTokens, UNKNOWN_TOKEN, char_level, word_level};
pub use tokenizer::Tokenizer;
