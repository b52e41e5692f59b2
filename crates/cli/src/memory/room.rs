//! The memory that a command can still have.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use super::cgroup::Limits;
use super::process::address_space_left;
use super::system::Memory;
use crate::exit::UsageError;

/// What is left to this process, and what bounds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Room {
    pub(crate) bytes: u64,
    pub(crate) bound: &'static str,
}

impl Room {
    /// The tightest of the bounds that the system tells of; `None` where it tells of none.
    pub(crate) fn look() -> Option<Self> {
        let root = Path::new("/");
        Self::tightest(&Memory::look(), &Limits::read(root), address_space_left(root))
    }

    fn tightest(memory: &Memory, limits: &Limits, address_space: Option<u64>) -> Option<Self> {
        // What can be swapped out makes room, slowly.
        let swap = memory.swap_free_bytes.unwrap_or(0);
        let machine = memory.available_bytes.map(|bytes| bytes.saturating_add(swap));
        let group = limits.memory_left().map(|bytes| bytes.saturating_add(swap));
        let bounds = [
            (machine, "on this machine"),
            (group, "in this control group"),
            (address_space, "under this process's limit of address space (ulimit -v)"),
        ];
        let known =
            bounds.into_iter().filter_map(|(bytes, bound)| Some(Self { bytes: bytes?, bound }));
        known.min_by_key(|room| room.bytes)
    }
}

/// Whether [`require_room`] lets everything pass.
static UNCHECKED: AtomicBool = AtomicBool::new(false);

/// From now on nothing is refused (`--no-memory-check`).
pub(crate) fn refuse_nothing() {
    UNCHECKED.store(true, Ordering::Relaxed);
}

/// Refuses what cannot fit, before the system ends the process for it.
///
/// # Errors
/// A usage error that names both amounts.
pub(crate) fn require_room(what: &str, needed: u64, hint: &str) -> Result<(), UsageError> {
    if UNCHECKED.load(Ordering::Relaxed) {
        return Ok(());
    }
    match Room::look() {
        Some(Room { bytes: available, bound }) if needed > available => {
            Err(UsageError::new(format!(
                "{what} about {} of memory, and {} are left {bound}",
                bytes(needed),
                bytes(available)
            ))
            .hint(hint))
        }
        _ => Ok(()),
    }
}

/// A number of bytes for people.
pub(crate) fn bytes(count: u64) -> String {
    match count {
        0..1_000_000 => format!("{:.0} kB", count as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.0} MB", count as f64 / 1e6),
        _ => format!("{:.1} GB", count as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tightest_bound_counts() {
        let memory =
            Memory { available_bytes: Some(1000), swap_free_bytes: Some(500), ..Memory::default() };
        let group = |limit, used, reclaimable| Limits {
            memory_bytes: Some(limit),
            memory_used_bytes: used,
            memory_reclaimable_bytes: reclaimable,
            cpus: None,
        };
        let room = |limits: &Limits, address_space| {
            Room::tightest(&memory, limits, address_space).map(|room| room.bytes)
        };
        assert_eq!(room(&Limits::default(), None), Some(1500));
        // 500 of swap each time.
        assert_eq!(room(&group(900, None, None), None), Some(1400));
        assert_eq!(room(&group(900, Some(700), None), None), Some(700));
        assert_eq!(room(&group(900, Some(700), Some(300)), None), Some(1000));
        assert_eq!(room(&group(900, Some(7000), Some(3)), None), Some(500));
        assert_eq!(room(&group(1200, Some(700), None), Some(77)), Some(77));
        assert_eq!(Room::tightest(&Memory::default(), &Limits::default(), None), None);
    }

    #[test]
    fn amounts() {
        assert_eq!([999, 1_500_000, 2_340_000_000].map(bytes), ["1 kB", "2 MB", "2.3 GB"]);
    }
}
