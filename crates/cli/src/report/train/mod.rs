//! The report of a run of `train`, made from what its directory holds.

mod build;
mod curves;
mod numbers;
mod samples;
mod thinned;

pub(crate) use build::report;
