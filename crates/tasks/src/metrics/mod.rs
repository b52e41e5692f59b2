//! How sure can we be of a measured number?

mod bootstrap;
mod clustered;
mod interval;
mod majority;
mod pass_at_k;
mod proportion;
mod student;

pub use bootstrap::{Difference, bootstrap_difference, family_bootstrap, paired_bootstrap};
pub use clustered::{ClusteredMean, clustered_mean, clustered_proportion};
pub use interval::Interval;
pub use majority::majority;
pub use pass_at_k::pass_at_k;
pub use proportion::wilson;
pub use student::{mean_interval, student_quantile};
