//! The logs of a running command.
//!
//! [`RunLog`] writes `metrics.jsonl`, `completions.jsonl` and `tensorboard/`. A disk that refuses a
//! line never ends a run: the line waits for the next write, and a [`Notice`] says so.
//! [`Watch`] says which numbers look alarming, and which look so and are not.
//! [`History`] and [`read_completions`] read the files back.

mod append;
mod better;
mod completions;
mod cut;
mod hint_rules;
mod hints;
mod history;
mod metrics;
mod notice;
mod run_log;
mod tensorboard;

pub use better::Better;
pub use completions::{Completion, Completions, LoggedCompletion, read_completions};
pub use hints::{Hint, Watch};
pub use history::{History, Line};
pub use metrics::Metrics;
pub use notice::Notice;
pub use run_log::RunLog;
pub use tensorboard::TensorBoard;

/// Name of the metrics file in a run directory.
pub const METRICS: &str = "metrics.jsonl";
/// Name of the completions file in a run directory.
pub const COMPLETIONS: &str = "completions.jsonl";
/// Name of the folder of TensorBoard events in a run directory.
pub const TENSORBOARD: &str = "tensorboard";
