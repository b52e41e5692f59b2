//! Where in a completion is the answer?

mod answer_tag;
mod boxed;
mod final_answer;

pub(crate) use answer_tag::{answer_blocks, last_answer_block};
pub(crate) use boxed::{HendrycksBox, hendrycks_box, lazy_boxes};
pub(crate) use final_answer::{OnlyAnswer, final_answer, only_answer};
