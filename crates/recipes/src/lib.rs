//! Which settings does a run have, and is what the user wrote one of them?
//!
//! A [`Layout`] is a table of fields: name, kind, range, default and a line of documentation. From
//! it come the check of a recipe ([`Recipe::read`], which reports every problem at once, each with
//! file, line, column and the nearest name), its JSON Schema ([`json_schema`]) and the reference
//! page ([`reference()`]), so that the three cannot disagree. [`train`] is the layout of the command
//! `train` and the typed form of what passes.

mod check;
mod field;
mod origin;
mod problem;
mod recipe;
mod reference;
mod schema;
pub mod train;
mod tree;

pub use field::{Field, Kind, Layout, Presence, Section, Sections};
pub use origin::Origin;
pub use problem::{Problem, Problems};
pub use recipe::{Recipe, Source};
pub use reference::reference;
pub use schema::json_schema;
