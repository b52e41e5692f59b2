//! Which runs a folder holds, and how each of them stands.

mod checkpoints;
mod folder;
mod reproduce;
mod run;
mod train;

pub use folder::{Listing, NotARun, list};
pub use run::{Kind, LastMetric, Run, State, open};
