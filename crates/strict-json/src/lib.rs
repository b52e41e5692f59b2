//! What does this JSON say, if it says one thing only?
//!
//! A reader that keeps the last of two values of a key can be told other things than one that keeps
//! the first. Here a key that occurs twice in an object, at any depth, is an error with line and
//! column.

mod entries;
mod object;
mod value;

pub use entries::{Entries, Keyed};
pub use object::parse_object;
pub use value::Strict;
