//! The report of a run: `report.json` for programs and `report.html` for people.

mod document;
mod escape;
#[cfg(test)]
mod example;
mod html;
mod machine;
mod named;
mod number;
mod svg;
mod table;
pub(crate) mod train;
mod write;

pub(crate) use document::{Better, Cell, Claim, Curve, Report, Sample, Series, Table, Unit};
pub(crate) use machine::Machine;
