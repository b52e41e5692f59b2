//! A reward that is a process of the user's.
//!
//! It is started by its first batch and gets one line a batch on stdin. Three threads serve it: one
//! writes, one reads stdout up to a line's length cap, one keeps the end of stderr. So neither a
//! process that does not read, nor one that does not write, nor one that writes without end can
//! hold up more than the call that waits for it, and that one waits for `timeout_s`.

mod event;
mod process_reward;
mod program;
mod running;
mod settings;
mod stderr;
mod stdout;
mod stop;

pub(crate) use process_reward::ProcessReward;
pub(crate) use settings::ProcessSettings;
