//! How much memory there is, and whether what is about to happen fits into it.

mod cgroup;
mod process;
mod room;
mod system;

pub(crate) use cgroup::Limits;
pub(crate) use room::{Room, bytes, refuse_nothing, require_room};
pub(crate) use system::Memory;
