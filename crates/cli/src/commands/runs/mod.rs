//! `afterthought runs`: which runs there are, how one stands, in what several differ.

mod bars;
mod compare;
mod differences;
mod find;
mod list;
mod show;
mod words;

pub(crate) use compare::run as compare;
pub(crate) use list::run as list;
pub(crate) use show::run as show;
