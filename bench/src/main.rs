//! Our side of `bench/run`: makes models and inputs, and runs one case as a worker process that
//! answers on its standard output (`worker.rs`).

#[path = "../../crates/cli/src/allocator.rs"]
mod allocator;
mod bandwidth;
mod decode;
mod diffusion;
mod grpo;
mod inputs;
mod load;
mod lora;
mod prepare;
mod recipe;
mod shape;
mod train;
mod worker;

use std::path::PathBuf;

use afterthought_kernels::{Precision, set_precision};
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::shape::Shape;

#[derive(Parser)]
#[command(about = "Our side of the benchmarks; see bench/README.md")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Writes a model directory with random weights and the inputs of its cases beside it.
    Prepare {
        /// Which model.
        shape: Shape,
        /// Directory to make; nothing may stand there.
        out: PathBuf,
    },
    /// Reads of a big buffer.
    Bandwidth {
        /// Threads; all cores by default.
        #[arg(long, default_value_t = 0)]
        threads: usize,
    },
    /// Optimisation steps on fixed batches.
    Train(Worker),
    /// Optimisation steps of a LoRA adapter on a model with random weights.
    Lora {
        #[command(flatten)]
        machine: Machine,
        #[command(flatten)]
        step: lora::LoraStep,
    },
    /// diffu-GRPO steps, rollouts included.
    Grpo(Worker),
    /// Greedy decoding of a masked-diffusion model.
    Diffusion {
        #[command(flatten)]
        worker: Worker,
        #[command(flatten)]
        decoding: diffusion::Decoding,
    },
    /// From a directory to the first logits.
    Load(Worker),
    /// Sampling of a causal model.
    Decode {
        #[command(flatten)]
        worker: Worker,
        #[command(flatten)]
        sampling: decode::Sampling,
    },
}

#[derive(Args)]
struct Worker {
    /// A directory that `prepare` made.
    model: PathBuf,
    #[command(flatten)]
    machine: Machine,
}

#[derive(Args)]
struct Machine {
    /// Of matrix products.
    #[arg(long, value_enum, default_value = "f32")]
    precision: PrecisionChoice,
    /// Threads; all cores by default.
    #[arg(long, default_value_t = 0)]
    threads: usize,
}

#[derive(Clone, Copy, ValueEnum)]
enum PrecisionChoice {
    F32,
    Bf16,
}

fn main() -> anyhow::Result<()> {
    allocator::keep_freed_memory();
    match Cli::parse().command {
        Command::Prepare { shape, out } => prepare::run(shape, &out),
        Command::Bandwidth { threads } => {
            rayon::ThreadPoolBuilder::new().num_threads(threads).build()?.install(bandwidth::run)
        }
        Command::Train(worker) => in_pool(&worker.machine, || train::run(&worker.model)),
        Command::Load(worker) => in_pool(&worker.machine, || load::run(&worker.model)),
        Command::Lora { machine, step } => in_pool(&machine, || lora::run(&step)),
        Command::Grpo(worker) => in_pool(&worker.machine, || grpo::run(&worker.model)),
        Command::Diffusion { worker, decoding } => {
            in_pool(&worker.machine, || diffusion::run(&worker.model, &decoding))
        }
        Command::Decode { worker, sampling } => {
            in_pool(&worker.machine, || decode::run(&worker.model, &sampling))
        }
    }
}

/// Sets precision and threads, and works inside the pool as the `afterthought` command does.
fn in_pool(
    machine: &Machine,
    run: impl FnOnce() -> anyhow::Result<()> + Send,
) -> anyhow::Result<()> {
    set_precision(match machine.precision {
        PrecisionChoice::F32 => Precision::F32,
        PrecisionChoice::Bf16 => Precision::Bf16,
    })?;
    rayon::ThreadPoolBuilder::new().num_threads(machine.threads).build()?.install(run)
}
