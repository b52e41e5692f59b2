//! `afterthought doctor`: this machine, and whether everything works on it.

use std::fs;
use std::process::Command;

use afterthought_kernels::{has_fused_kernels, precision};
use burn::tensor::Device;
use serde::Serialize;

use crate::args::DoctorArgs;
use crate::commands::self_test::{Check, checks};
use crate::console::{Console, print_json, print_text, table};
use crate::progress::compact;
use crate::report::Machine;

/// Instruction sets that decide the speed.
const FEATURES: [&str; 5] = ["avx2", "avx512f", "avx512_bf16", "amx_tile", "amx_bf16"];

/// Describes the machine, runs the checks and fails if one of them does.
pub(crate) fn run(args: &DoctorArgs, _console: &Console) -> anyhow::Result<()> {
    let diagnosis = Diagnosis::make();
    match args.json {
        true => print_json(&diagnosis)?,
        false => print_text(&diagnosis.overview())?,
    }
    let failed: Vec<&str> =
        (diagnosis.checks.iter()).filter(|check| !check.ok).map(|check| check.name).collect();
    anyhow::ensure!(
        failed.is_empty(),
        "{} of {} checks failed: {}",
        failed.len(),
        diagnosis.checks.len(),
        failed.join(", ")
    );
    Ok(())
}

/// What `--json` prints; unknown facts are `null`.
#[derive(Serialize)]
struct Diagnosis {
    version: &'static str,
    machine: Machine,
    memory_available_bytes: Option<u64>,
    /// On the file system of the current directory.
    disk_free_bytes: Option<u64>,
    /// Whether the fused kernels run here, or the composed operations in their place.
    fused_kernels: bool,
    /// Of matrix products.
    precision: String,
    checks: Vec<Check>,
    ok: bool,
}

impl Diagnosis {
    fn make() -> Self {
        let checks = checks();
        Self {
            version: env!("CARGO_PKG_VERSION"),
            machine: Machine::detect(),
            memory_available_bytes: memory_available(),
            disk_free_bytes: disk_free(),
            fused_kernels: has_fused_kernels(&Device::flex()),
            precision: precision().to_string(),
            ok: checks.iter().all(|check| check.ok),
            checks,
        }
    }

    fn overview(&self) -> String {
        let machine = &self.machine;
        let unknown = || "unknown".to_owned();
        let size = |bytes: Option<u64>| bytes.map_or_else(unknown, gibibytes);
        let mut facts = table(&["afterthought", self.version]);
        let mut fact = |name: &str, value: String| {
            facts.add_row([name.to_owned(), value]);
        };
        fact("system", machine.os.clone());
        fact("processor", machine.processor.clone().unwrap_or_else(unknown));
        fact("threads", machine.cores.map_or_else(unknown, |n| n.to_string()));
        let feature = |name: &&str| {
            let present = machine.features.iter().any(|known| known == *name);
            format!("{} {name}", if present { "✓" } else { "✗" })
        };
        let features: Vec<String> = FEATURES.iter().map(feature).collect();
        fact("instructions", features.join("  "));
        let kernels = match self.fused_kernels {
            true => "fused",
            false => "composed",
        };
        fact("kernels", format!("{kernels}, products in {}", self.precision));
        fact(
            "memory",
            format!(
                "{}, {} available",
                size(machine.memory_bytes),
                size(self.memory_available_bytes)
            ),
        );
        fact("disk", format!("{} free here", size(self.disk_free_bytes)));
        let mut checks = table(&["check", "", "largest difference", "allowed"]);
        for check in &self.checks {
            checks.add_row([
                check.name.to_owned(),
                if check.ok { "✓" } else { "✗ failed" }.to_owned(),
                check.problem.clone().unwrap_or_else(|| compact(f64::from(check.difference))),
                compact(f64::from(check.allowed)),
            ]);
        }
        format!("{}\n\n{}", facts.trim_fmt(), checks.trim_fmt())
    }
}

/// `MemAvailable` of Linux.
fn memory_available() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// What `df` says of the current directory: the standard library cannot ask.
fn disk_free() -> Option<u64> {
    let output = Command::new("df").args(["-Pk", "."]).output().ok()?;
    parse_df(&String::from_utf8(output.stdout).ok()?)
}

/// The fourth column of the second line, in KiB; the format is POSIX's.
fn parse_df(text: &str) -> Option<u64> {
    let line = text.lines().nth(1)?;
    let kibibytes: u64 = line.split_whitespace().nth(3)?.parse().ok()?;
    kibibytes.checked_mul(1024)
}

fn gibibytes(bytes: u64) -> String {
    format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_df_prints() {
        let text = "Filesystem 1024-blocks Used Available Capacity Mounted on\n\
                    /dev/root 100 40 60 40% /\n";
        assert_eq!(parse_df(text), Some(60 * 1024));
        assert_eq!(parse_df("df: .: No such file\n"), None);
    }
}
