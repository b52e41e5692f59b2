//! The `afterthought` command: arguments in, exit code out.

mod allocator;
mod args;
mod commands;
mod console;
mod exit;
mod memory;
mod progress;
mod report;
mod reproduce;
mod signals;
mod train;

use std::io::{self, Write};
use std::process::ExitCode;

use afterthought_kernels::{Precision, set_precision};
use clap::Parser;

use crate::args::{Cli, Command, DataCommand, ModelCommand, PrecisionChoice, RunsCommand};
use crate::console::Console;
use crate::exit::{Exit, UsageError, exit_of, explain};

fn main() -> ExitCode {
    allocator::keep_freed_memory();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are results; everything else is a usage error. A closed stream
            // leaves nobody to tell.
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Done };
            let _ = error.print();
            return exit.into();
        }
    };
    let console = Console::new(cli.global.quiet, cli.global.color);
    let (global, command) = (cli.global, cli.command);
    if global.no_memory_check {
        memory::refuse_nothing();
    }
    let run = || {
        choose_precision(match (&command, global.precision) {
            // Numbers to compare with those of another program.
            (Command::Model(ModelCommand::Logits(_)), PrecisionChoice::Auto) => {
                PrecisionChoice::F32
            }
            (_, choice) => choice,
        })?;
        dispatch(command, &console)
    };
    match in_pool(run) {
        Ok(()) => Exit::Done.into(),
        Err(error) => {
            let _ = io::stderr().write_all(explain(&error, console.color()).as_bytes());
            exit_of(&error).into()
        }
    }
}

/// Runs a command on a thread of the pool that its kernels use: handing each of the many small
/// operations from outside to a sleeping pool costs more than some of them take.
fn in_pool(run: impl FnOnce() -> anyhow::Result<()> + Send) -> anyhow::Result<()> {
    match rayon::ThreadPoolBuilder::new().build() {
        Ok(pool) => pool.install(run),
        // The system refuses threads; the kernels' own pool may say so better.
        Err(_) => run(),
    }
}

fn choose_precision(choice: PrecisionChoice) -> anyhow::Result<()> {
    let precision = match choice {
        PrecisionChoice::Auto => Precision::fastest(),
        PrecisionChoice::F32 => Precision::F32,
        PrecisionChoice::Bf16 => Precision::Bf16,
    };
    set_precision(precision).map_err(|cause| {
        UsageError::caused_by("--precision bf16 cannot be used", cause).hint("use --precision f32")
    })?;
    Ok(())
}

fn dispatch(command: Command, console: &Console) -> anyhow::Result<()> {
    match command {
        Command::Grade(args) => commands::grade::run(&args, console),
        Command::Reproduce(args) => commands::reproduce::run(&args, console),
        Command::Train(args) => train::run(&args, console),
        Command::Generate(args) => commands::generate::run(&args, console),
        Command::Eval(args) => commands::eval::run(&args, console),
        Command::Model(ModelCommand::New(args)) => commands::model_new::run(&args, console),
        Command::Model(ModelCommand::Info(args)) => commands::model_info::run(&args, console),
        Command::Model(ModelCommand::Check(args)) => commands::model_check::run(&args, console),
        Command::Model(ModelCommand::Export(args)) => commands::model_export::run(&args, console),
        Command::Model(ModelCommand::Logits(args)) => commands::model_logits::run(&args, console),
        Command::Model(ModelCommand::Merge(args)) => commands::model_merge::run(&args, console),
        Command::Model(ModelCommand::Spectrum(args)) => {
            commands::model_spectrum::run(&args, console)
        }
        Command::Data(DataCommand::Generate(args)) => commands::data_generate::run(&args, console),
        Command::Data(DataCommand::Preview(args)) => commands::data_preview::run(&args, console),
        Command::Data(DataCommand::Check(args)) => commands::data_check::run(&args, console),
        Command::Runs(RunsCommand::List(args)) => commands::runs::list(&args, console),
        Command::Runs(RunsCommand::Show(args)) => commands::runs::show(&args, console),
        Command::Runs(RunsCommand::Compare(args)) => commands::runs::compare(&args, console),
        Command::Doctor(args) => commands::doctor::run(&args, console),
    }
}
