//! Countdown: combine all given numbers, each once, with + - * / into a target.

mod d1;
mod expression;
mod generate;
mod parse;
mod part;
mod problem;
mod read;
mod solve;
mod steps;

pub use expression::{Expression, ExpressionError, Literal, Operation};
pub use generate::{CountdownSettings, generate};
pub use parse::Syntax;
pub use part::{Part, part_of};
pub use problem::CountdownProblem;
pub(crate) use read::{from_row, number, numbers, split};
pub use solve::{SOLVER_LIMIT, solve};
