//! Competition mathematics: LaTeX answers.
//!
//! The d1 profile compares strings after the Hendrycks normalisation. The strict profile reads both
//! answers into exact mathematics and compares values; see `strict`.

mod hendrycks;
mod problem;
mod read;
mod strict;

pub use hendrycks::is_equivalent;
pub use problem::MathProblem;
pub(crate) use read::from_row;
pub use strict::{Equality, compare};
