use super::diagnosis::Diagnosis;
use crate::console::{printable, table};
use crate::progress::compact;

/// Instruction sets that decide the speed.
const FEATURES: [&str; 5] = ["avx2", "avx512f", "avx512_bf16", "amx_tile", "amx_bf16"];

/// The diagnosis for people.
pub(super) fn overview(diagnosis: &Diagnosis) -> String {
    let machine = &diagnosis.machine;
    let unknown = || "unknown".to_owned();
    let size = |bytes: Option<u64>| bytes.map_or_else(unknown, gibibytes);
    let mut facts = table(&["afterthought", diagnosis.version]);
    let mut fact = |name: &str, value: String| {
        facts.add_row([name.to_owned(), value]);
    };
    fact("system", machine.os.clone());
    fact("processor", machine.processor.clone().unwrap_or_else(unknown));
    let cores = machine.cores.map_or_else(unknown, |n| n.to_string());
    fact("threads", format!("{} compute, {cores} can run at once", diagnosis.threads));
    let feature = |name: &&str| {
        let present = machine.features.iter().any(|known| known == *name);
        format!("{} {name}", if present { "✓" } else { "✗" })
    };
    let features: Vec<String> = FEATURES.iter().map(feature).collect();
    fact("instructions", features.join("  "));
    let kernels = &diagnosis.kernels;
    let kind = if kernels.fused { "fused" } else { "composed" };
    fact("kernels", format!("{kind}, with {}", kernels.vectors));
    let bf16 = kernels.bf16.map_or("bf16 has no instructions here".to_owned(), |name| {
        format!("bf16 is multiplied by {name}")
    });
    fact("products", format!("in {}; {bf16}", kernels.precision));
    let memory = &diagnosis.memory;
    fact(
        "memory",
        format!(
            "{}, {} available, {} free",
            size(memory.total_bytes),
            size(memory.available_bytes),
            size(memory.free_bytes)
        ),
    );
    fact("control group", limits(diagnosis));
    for directory in &diagnosis.directories {
        let outcome = match &directory.problem {
            None => "files can be written".to_owned(),
            Some(problem) => format!("✗ no file can be written: {problem}"),
        };
        let path = printable(&directory.path).replace('\n', "\\n");
        fact(directory.role, format!("{path}: {} free, {outcome}", size(directory.free_bytes)));
    }
    let mut checks = table(&["check", "", "largest difference", "allowed"]);
    for check in &diagnosis.checks {
        checks.add_row([
            check.name.to_owned(),
            if check.ok { "✓" } else { "✗ failed" }.to_owned(),
            check.problem.clone().unwrap_or_else(|| compact(f64::from(check.difference))),
            compact(f64::from(check.allowed)),
        ]);
    }
    format!("{}\n\n{}", facts.trim_fmt(), checks.trim_fmt())
}

fn limits(diagnosis: &Diagnosis) -> String {
    let limits = &diagnosis.limits;
    let memory = limits.memory_bytes.map(|most| {
        let used = limits.memory_used_bytes.map(|used| format!(" ({} used)", gibibytes(used)));
        format!("{} of memory{}", gibibytes(most), used.unwrap_or_default())
    });
    let cpus = limits.cpus.map(|cpus| format!("{cpus:.2} processors"));
    let parts: Vec<String> = memory.into_iter().chain(cpus).collect();
    if parts.is_empty() { "no limits".to_owned() } else { format!("at most {}", parts.join(", ")) }
}

fn gibibytes(bytes: u64) -> String {
    format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30))
}
