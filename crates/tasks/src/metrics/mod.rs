//! How sure can we be of a measured number?

mod bootstrap;
mod interval;
mod proportion;
mod student;

pub use bootstrap::{Difference, bootstrap_difference, family_bootstrap, paired_bootstrap};
pub use interval::Interval;
pub use proportion::wilson;
pub use student::{mean_interval, student_quantile};
