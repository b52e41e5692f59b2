//! Is this completion right, and what is it worth?
//!
//! A [`Problem`] knows its prompt, how to grade a completion under a [`Profile`] and what reward
//! reinforcement learning pays for it. Four tasks implement it: [`sudoku`], [`countdown`],
//! [`gsm8k`] and [`math`]. Everything a model writes is hostile input here: graders are pure
//! functions without clocks, processes or `eval`, bounded in time and memory by counted steps.
//!
//! [`read_problems`] loads data sets, [`generations`] loads what models wrote earlier so that it can
//! be graded again, [`FewShot`] puts worked examples before a problem, and [`metrics`] turns grades
//! into intervals.

pub mod countdown;
pub mod generations;
pub mod gsm8k;
pub mod math;
pub mod metrics;
pub mod sudoku;
pub mod writers;

mod dataset;
mod error;
mod extract;
mod few_shot;
mod grade;
mod jsonl;
mod name;
mod problem;
mod prompt;

pub use dataset::{problem_from_row, read_problems};
pub use error::TaskError;
pub use extract::AnswerFormat;
pub use few_shot::{Exercise, FewShot};
pub use grade::{Credit, Grade, Outcome, Summary, summarise};
pub use name::{Profile, TaskName};
pub use problem::Problem;
pub use prompt::PromptStyle;
