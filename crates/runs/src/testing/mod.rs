//! A disk for tests that fails on demand, and that shows what a power loss may leave.
//!
//! [`FaultStorage`] lives in memory and records every change and every sync. [`CrashStates`] are the
//! directories that a disk may show after any number of them: what was not synced may be missing,
//! torn or done in another order.

mod crash;
mod fault_storage;
mod image;
mod journal;

pub use crash::CrashStates;
pub use fault_storage::{Fault, FaultStorage, FaultyFile, Refusal};
pub use image::Image;
