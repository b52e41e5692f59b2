//! `afterthought eval`: a model's accuracy on a task.
//!
//! [`data`] finds the problems, [`questions`] and [`worded`] ask them, [`writer`] has them answered,
//! [`results`] and [`kept`] hold every completion and continue an interrupted file, [`score`] turns
//! grades into numbers with their errors, [`document`] prints them, and [`mod@run`] holds the order.
//!
//! The random numbers of a completion are keyed by what its problem is and which sample of it is drawn,
//! so that nothing depends on the order of the items, on the batch or on an interruption.

mod data;
mod document;
mod fingerprint;
mod kept;
mod line;
mod questions;
mod request;
mod results;
mod run;
mod score;
mod worded;
mod writer;

pub(crate) use run::run;
