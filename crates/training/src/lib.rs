//! How does a model learn?
//!
//! [`objective`] holds the losses and [`estimator`] the log-probability estimators, both as pure
//! functions; [`Learner`] turns a weighted sum of log-probabilities into an update;
//! [`supervised_step`] and [`DiffuGrpo`] are the two kinds of step built on it, and [`evaluate`]
//! measures the result.

mod causal;
mod diffu_grpo;
mod error;
pub mod estimator;
mod evaluate;
mod learner;
pub mod objective;
mod prompts;
mod schedule;
mod state;
mod supervised;

pub use causal::{Row, causal_loss, causal_step};
pub use diffu_grpo::{DiffuGrpo, GrpoMetrics};
pub use error::Error;
pub use evaluate::{Evaluated, Evaluation, evaluate};
pub use learner::{AdamW, Learner, Update};
pub use prompts::{ChatFormat, PromptFormat};
pub use schedule::{Decay, Schedule};
pub use state::LearnerState;
pub use supervised::{supervised_loss, supervised_step};
