//! One JSON object a line: prompts, completions and further columns.

mod reader;
mod record;
mod writer;

pub use reader::{DEFAULT_LINE_CAP, Records};
pub use record::Record;
pub use writer::RecordWriter;
