//! The limits that a container or a service manager sets.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

/// Limits of the control group of this process; unknown and absent ones are `null`.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(crate) struct Limits {
    /// Beyond this, the kernel ends a process of the group.
    pub(crate) memory_bytes: Option<u64>,
    /// Memory that the group uses, caches included.
    pub(crate) memory_used_bytes: Option<u64>,
    /// The part of that which the kernel would give up first: pages of files.
    pub(crate) memory_reclaimable_bytes: Option<u64>,
    /// Processors' worth of time.
    pub(crate) cpus: Option<f64>,
}

impl Limits {
    /// Reads them; `root` is `/`, but in tests. A limit of any group above counts as well.
    pub(crate) fn read(root: &Path) -> Self {
        let groups = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
        let mount = root.join("sys/fs/cgroup");
        let mut limits = Self::default();
        for line in groups.lines() {
            let mut parts = line.splitn(3, ':').skip(1);
            let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
            match controllers {
                "" => limits.second_version(&[mount.clone(), mount.join("unified")], path),
                _ => {
                    for controller in controllers.split(',') {
                        let mounts = [mount.join(controller), mount.join(controllers)];
                        limits.first_version(controller, &mounts, path);
                    }
                }
            }
        }
        limits
    }

    fn second_version(&mut self, mounts: &[PathBuf], path: &str) {
        for group in groups(mounts, path) {
            self.memory(
                number(&group, "memory.max"),
                number(&group, "memory.current"),
                statistic(&group, ["active_file", "inactive_file"]),
            );
            let text = read(&group, "cpu.max").unwrap_or_default();
            let mut parts = text.split_whitespace().map(str::parse::<f64>);
            if let (Some(Ok(quota)), Some(Ok(period))) = (parts.next(), parts.next()) {
                self.cpu(quota, period);
            }
        }
    }

    fn first_version(&mut self, controller: &str, mounts: &[PathBuf], path: &str) {
        for group in groups(mounts, path) {
            match controller {
                "memory" => {
                    // "No limit" is the largest multiple of a page.
                    let limit = number(&group, "memory.limit_in_bytes");
                    let limit = limit.filter(|limit| *limit < u64::MAX >> 2);
                    self.memory(
                        limit,
                        number(&group, "memory.usage_in_bytes"),
                        statistic(&group, ["total_active_file", "total_inactive_file"]),
                    );
                }
                "cpu" => {
                    let quota = number(&group, "cpu.cfs_quota_us");
                    if let Some((quota, period)) = quota.zip(number(&group, "cpu.cfs_period_us")) {
                        self.cpu(quota as f64, period as f64);
                    }
                }
                _ => {}
            }
        }
    }

    fn memory(&mut self, limit: Option<u64>, used: Option<u64>, reclaimable: Option<u64>) {
        // The group that counts is the one with the least left.
        let group = Self {
            memory_bytes: limit,
            memory_used_bytes: used,
            memory_reclaimable_bytes: reclaimable,
            cpus: self.cpus,
        };
        if let Some(left) = group.memory_left()
            && self.memory_left().is_none_or(|known| left < known)
        {
            *self = group;
        }
    }

    /// Bytes that the group may still use; `None` without a limit.
    pub(crate) fn memory_left(&self) -> Option<u64> {
        let held = self.memory_reclaimable_bytes.unwrap_or(0);
        let used = self.memory_used_bytes.unwrap_or(0).saturating_sub(held);
        Some(self.memory_bytes?.saturating_sub(used))
    }

    fn cpu(&mut self, quota: f64, period: f64) {
        if quota > 0.0 && period > 0.0 {
            let cpus = quota / period;
            self.cpus = Some(self.cpus.map_or(cpus, |known| known.min(cpus)));
        }
    }
}

/// The directories of a group and of those above it. Inside a container the path is that of the
/// host, and only the mount itself is there.
fn groups(mounts: &[PathBuf], path: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for mount in mounts {
        let whole = mount.join(path.trim_start_matches('/'));
        let above = whole.ancestors().take_while(|group| group.starts_with(mount));
        found.extend(above.filter(|group| group.is_dir()).map(Path::to_owned));
    }
    found
}

fn read(group: &Path, name: &str) -> Option<String> {
    fs::read_to_string(group.join(name)).ok()
}

/// `max` and `-1` are no numbers.
fn number(group: &Path, name: &str) -> Option<u64> {
    read(group, name)?.trim().parse().ok()
}

/// The sum of two lines of `memory.stat`.
fn statistic(group: &Path, names: [&str; 2]) -> Option<u64> {
    let text = read(group, "memory.stat")?;
    let value = |name: &str| -> Option<u64> {
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
        value.trim().parse().ok()
    };
    value(names[0])?.checked_add(value(names[1])?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    fn limits(files: &[(&str, &str)]) -> Limits {
        let root = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        Limits::read(root.path())
    }

    #[test]
    fn the_group_with_the_least_left_counts_in_the_second_version() {
        let found = limits(&[
            ("proc/self/cgroup", "0::/a.slice/b.scope\n"),
            ("sys/fs/cgroup/memory.max", "900\n"),
            ("sys/fs/cgroup/memory.current", "10\n"),
            ("sys/fs/cgroup/a.slice/memory.max", "1000\n"),
            ("sys/fs/cgroup/a.slice/memory.current", "700\n"),
            (
                "sys/fs/cgroup/a.slice/memory.stat",
                "anon 3\nactive_file 20\ninactive_file_x 5\ninactive_file 70\n",
            ),
            ("sys/fs/cgroup/a.slice/cpu.max", "150000 100000\n"),
            ("sys/fs/cgroup/a.slice/b.scope/memory.max", "max\n"),
            ("sys/fs/cgroup/a.slice/b.scope/cpu.max", "max 100000\n"),
        ]);
        let expected = Limits {
            memory_bytes: Some(1000),
            memory_used_bytes: Some(700),
            memory_reclaimable_bytes: Some(90),
            cpus: Some(1.5),
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn the_first_version_in_a_container_that_sees_only_its_mount() {
        let found = limits(&[
            ("proc/self/cgroup", "4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "2147483648\n"),
            ("sys/fs/cgroup/memory/memory.usage_in_bytes", "5\n"),
            (
                "sys/fs/cgroup/memory/memory.stat",
                "inactive_file 1\ntotal_active_file 1\ntotal_inactive_file 3\n",
            ),
            ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n"),
            ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n"),
        ]);
        let expected = Limits {
            memory_bytes: Some(1 << 31),
            memory_used_bytes: Some(5),
            memory_reclaimable_bytes: Some(4),
            cpus: None,
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn no_limit_is_none() {
        let unlimited = limits(&[
            ("proc/self/cgroup", "4:memory:/\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
        ]);
        assert_eq!(unlimited, Limits::default());
        assert_eq!(limits(&[]), Limits::default());
    }
}
