//! `afterthought doctor`: this machine, and whether everything works on it.

mod diagnosis;
mod disk;
mod overview;

pub(crate) use diagnosis::run;
