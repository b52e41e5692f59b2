//! One JSON object a line: conversations, prompts, completions and further columns.
//!
//! `line` cuts a file into lines, `rows` turns each into a record or a problem with its place,
//! `dataset` compares rows with each other and applies the policy for bad ones.

mod dataset;
mod line;
mod locate;
mod problem;
mod record;
mod rows;
mod turns;
mod writer;

pub use dataset::{BadRows, Checker, Dataset};
pub use line::DEFAULT_LINE_CAP;
pub use problem::{Problem, ProblemKind};
pub use record::{Content, Format, Record};
pub use rows::{Row, Rows};
pub use writer::RecordWriter;
