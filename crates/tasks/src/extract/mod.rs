//! Where in a completion is the answer?

mod answer_tag;
mod boxed;
mod final_answer;
mod format;
mod last_formula;

pub(crate) use answer_tag::{answer_blocks, last_answer_block};
pub(crate) use boxed::{HendrycksBox, hendrycks_box, lazy_boxes};
pub(crate) use final_answer::{OnlyAnswer, before_end, final_answer, only_answer};
pub use format::AnswerFormat;
pub(crate) use last_formula::unmarked_answer;
