use std::path::Path;

use afterthought_kernels::{has_fused_kernels, instructions, precision};
use burn::tensor::Device;
use serde::Serialize;

use super::disk::Directory;
use super::overview::overview;
use crate::args::DoctorArgs;
use crate::commands::self_test::{Check, checks};
use crate::console::{Console, print_json, print_text};
use crate::memory::{Limits, Memory};
use crate::report::Machine;

/// Describes the machine, runs the checks and fails if one of them does.
pub(crate) fn run(args: &DoctorArgs, _console: &Console) -> anyhow::Result<()> {
    let diagnosis = Diagnosis::make(&args.out);
    match args.json {
        true => print_json(&diagnosis)?,
        false => print_text(&overview(&diagnosis))?,
    }
    let numbers = diagnosis.checks.iter().filter(|check| !check.ok).map(|check| check.name);
    let directories = diagnosis.directories.iter().filter(|directory| directory.problem.is_some());
    let failed: Vec<&str> = numbers.chain(directories.map(|directory| directory.role)).collect();
    anyhow::ensure!(
        failed.is_empty(),
        "{} of {} checks failed: {}",
        failed.len(),
        diagnosis.checks.len() + diagnosis.directories.len(),
        failed.join(", ")
    );
    Ok(())
}

/// What `--json` prints; unknown facts are `null`.
#[derive(Serialize)]
pub(super) struct Diagnosis {
    pub(super) version: &'static str,
    pub(super) machine: Machine,
    pub(super) memory: Memory,
    /// Of the control group.
    pub(super) limits: Limits,
    /// Threads that compute.
    pub(super) threads: usize,
    pub(super) kernels: Kernels,
    pub(super) directories: Vec<Directory>,
    pub(super) checks: Vec<Check>,
    pub(super) ok: bool,
}

/// What computes here.
#[derive(Serialize)]
pub(super) struct Kernels {
    /// Whether the fused kernels run here, or the composed operations in their place.
    pub(super) fused: bool,
    /// Instructions of element-wise work and of products in f32.
    pub(super) vectors: &'static str,
    /// Instructions of products in bf16, if the processor has any.
    pub(super) bf16: Option<&'static str>,
    /// Precision of matrix products.
    pub(super) precision: String,
}

impl Diagnosis {
    fn make(out: &Path) -> Self {
        let checks = checks();
        let directories = vec![
            Directory::look("output", out),
            Directory::look("temporary files", &std::env::temp_dir()),
        ];
        let whole = directories.iter().all(|directory| directory.problem.is_none());
        let chosen = instructions();
        Self {
            version: env!("CARGO_PKG_VERSION"),
            machine: Machine::detect(),
            memory: Memory::look(),
            limits: Limits::read(Path::new("/")),
            threads: rayon::current_num_threads(),
            kernels: Kernels {
                fused: has_fused_kernels(&Device::flex()),
                vectors: chosen.vectors,
                bf16: chosen.bf16,
                precision: precision().to_string(),
            },
            ok: whole && checks.iter().all(|check| check.ok),
            directories,
            checks,
        }
    }
}
