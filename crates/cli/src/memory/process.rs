//! The limit that a shell or a batch system sets to the address space (`ulimit -v`).

use std::fs;
use std::path::Path;

/// Address space that the allocator reserves before it hands it out (`mi_option_arena_reserve`).
const RESERVED: u64 = 1 << 30;

/// Bytes that this process may still have; `None` without a limit. `root` is `/`, but in tests.
pub(super) fn address_space_left(root: &Path) -> Option<u64> {
    let read = |name: &str| fs::read_to_string(root.join("proc/self").join(name)).ok();
    let limits = read("limits")?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max address space"))?;
    let limit: u64 = line.split_whitespace().next()?.parse().ok()?;
    let status = read("status")?;
    let size = status.lines().find_map(|line| line.strip_prefix("VmSize:"))?;
    let size: u64 = size.trim().strip_suffix("kB")?.trim().parse().ok()?;
    let taken = size.saturating_mul(1024).saturating_sub(RESERVED);
    Some(limit.saturating_sub(taken))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    fn left(limit: &str) -> Option<u64> {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("proc/self");
        fs::create_dir_all(&folder).unwrap();
        let limits = format!(
            "Limit                     Soft Limit           Hard Limit           Units\n\
             Max address space         {limit}            unlimited            bytes\n"
        );
        fs::write(folder.join("limits"), limits).unwrap();
        fs::write(folder.join("status"), "Name:\tx\nVmSize:\t    2097152 kB\nVmRSS: 4 kB\n")
            .unwrap();
        address_space_left(root.path())
    }

    #[test]
    fn the_soft_limit_less_what_is_mapped() {
        assert_eq!(left("3221225472"), Some(2 << 30));
        assert_eq!(left("1000"), Some(0));
        assert_eq!(left("unlimited"), None);
        assert_eq!(address_space_left(Path::new("/nowhere")), None);
    }
}
