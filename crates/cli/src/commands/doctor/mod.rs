//! `afterthought doctor`: this machine, and whether everything works on it.

mod cgroup;
mod diagnosis;
mod disk;
mod memory;
mod overview;

pub(crate) use diagnosis::run;
