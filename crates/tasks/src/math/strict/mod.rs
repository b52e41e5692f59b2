//! Are two LaTeX answers the same mathematics?
//!
//! Text becomes [`token`]s, tokens an [`answer`] (a value, tuple, list, union, matrix, relation, numeral
//! or text) whose values are [`expression`] trees, and a tree becomes a quotient of [`polynomial`]s over
//! the rationals in roots of primes, `i`, pi, e and variables ([`canonical`]). In that form equality is
//! decided exactly. What does not fit it (functions, nested roots) is compared as opaque symbols and,
//! failing that, told apart by value ([`numeric`]); agreement of floating-point values is not proof,
//! so the verdict then is [`Equality::Undecided`].
//!
//! Every stage is bounded: length of the text, depth of nesting, size of integers, and a counted
//! budget of operations ([`limits`]). There is no clock.

mod answer;
mod atom;
mod canonical;
mod equality;
mod expression;
mod factor;
mod limits;
mod numeric;
mod parse;
mod polynomial;
mod token;

pub use equality::{Equality, compare};
