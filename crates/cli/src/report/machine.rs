//! The machine that produced a result.

use std::fs;

use serde::{Deserialize, Serialize};

/// What of the machine a reader needs to judge a timing. Unknown facts are `null`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Machine {
    /// The processor's model name.
    pub(crate) processor: Option<String>,
    /// Threads that this process may run at once.
    pub(crate) cores: Option<usize>,
    /// Physical memory in bytes.
    pub(crate) memory_bytes: Option<u64>,
    /// Operating system and architecture, such as `linux x86_64`.
    pub(crate) os: String,
    /// Instruction sets that matter here, such as `avx2`, `avx512f`, `amx_bf16`.
    pub(crate) features: Vec<String>,
}

/// Instruction sets worth reporting, by their names in /proc/cpuinfo.
const FEATURES: [&str; 9] = [
    "avx2",
    "fma",
    "avx512f",
    "avx512_bf16",
    "avx512_vnni",
    "amx_tile",
    "amx_bf16",
    "asimd",
    "bf16",
];

impl Machine {
    /// Looks at the machine this runs on.
    pub(crate) fn detect() -> Self {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        Self {
            processor: value(&cpuinfo, "model name").map(str::to_owned),
            cores: std::thread::available_parallelism().ok().map(usize::from),
            memory_bytes: memory(&meminfo),
            os: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            features: features(&cpuinfo),
        }
    }
}

/// The first value of `key : value` lines.
fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        (name.trim() == key && !value.trim().is_empty()).then(|| value.trim())
    })
}

/// `MemTotal` in bytes; the file counts in units of 1024 bytes that it calls kB.
fn memory(meminfo: &str) -> Option<u64> {
    let kibibytes = value(meminfo, "MemTotal")?.strip_suffix("kB")?.trim();
    kibibytes.parse::<u64>().ok()?.checked_mul(1024)
}

fn features(cpuinfo: &str) -> Vec<String> {
    let flags = value(cpuinfo, "flags").or_else(|| value(cpuinfo, "Features")).unwrap_or_default();
    let present = |name: &&&str| flags.split_whitespace().any(|flag| flag == **name);
    FEATURES.iter().filter(present).map(|name| (*name).to_owned()).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_linux_writes() {
        let cpuinfo = "processor\t: 0\nmodel name\t: Example CPU @ 2.0GHz\nflags\t\t: fpu avx2 amx_bf16 avx\n";
        assert_eq!(value(cpuinfo, "model name"), Some("Example CPU @ 2.0GHz"));
        assert_eq!(features(cpuinfo), ["avx2", "amx_bf16"]);
        assert_eq!(memory("MemTotal:       16384000 kB\nMemFree: 1 kB\n"), Some(16_777_216_000));
        assert_eq!(memory("MemTotal: lots\n"), None);
        assert_eq!(value("model name\t:\n", "model name"), None);
    }

    #[test]
    fn detection_always_names_the_system() {
        assert!(Machine::detect().os.contains(std::env::consts::ARCH));
    }
}
