//! GSM8K: grade-school word problems with one number as the answer.

mod d1;
mod number;
mod problem;
mod read;
mod reward;

pub use problem::Gsm8kProblem;
pub(crate) use read::from_row;
