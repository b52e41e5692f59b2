//! What must be equal for a resumed run to be the run that was begun.

mod changes;
mod sources;

pub use changes::Change;
pub use sources::{Dataset, Fingerprint, Program};
