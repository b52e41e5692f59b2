//! The memory of the machine.

use std::fs;

use serde::Serialize;

/// In bytes; unknown numbers are `null`.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Memory {
    pub(crate) total_bytes: Option<u64>,
    /// Used by nothing at all.
    pub(crate) free_bytes: Option<u64>,
    /// Free, or used by caches that the kernel would give up.
    pub(crate) available_bytes: Option<u64>,
    pub(crate) swap_free_bytes: Option<u64>,
}

impl Memory {
    /// What Linux says.
    pub(crate) fn look() -> Self {
        Self::parse(&fs::read_to_string("/proc/meminfo").unwrap_or_default())
    }

    fn parse(text: &str) -> Self {
        let bytes = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
            kibibytes.checked_mul(1024)
        };
        Self {
            total_bytes: bytes("MemTotal"),
            free_bytes: bytes("MemFree"),
            available_bytes: bytes("MemAvailable"),
            swap_free_bytes: bytes("SwapFree"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_linux_writes() {
        let text =
            "MemTotal:       16384000 kB\nMemFree:  1 kB\nMemAvailable: 3 kB\nSwapFree: lots\n";
        let expected = Memory {
            total_bytes: Some(16_777_216_000),
            free_bytes: Some(1024),
            available_bytes: Some(3072),
            swap_free_bytes: None,
        };
        assert_eq!(Memory::parse(text), expected);
        assert_eq!(Memory::parse(""), Memory::default());
    }
}
