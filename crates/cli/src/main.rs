//! The `afterthought` command: arguments in, exit code out.

mod args;
mod commands;
mod console;
mod exit;
mod progress;
mod report;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;

use crate::args::{Cli, Command};
use crate::console::Console;
use crate::exit::{Exit, exit_of, explain};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are results; everything else is a usage error. A closed stream
            // leaves nobody to tell.
            let exit = if error.use_stderr() {
                Exit::Usage
            } else {
                Exit::Done
            };
            let _ = error.print();
            return exit.into();
        }
    };
    let console = Console::new(cli.global.quiet, cli.global.color);
    match dispatch(cli.command, &console) {
        Ok(()) => Exit::Done.into(),
        Err(error) => {
            let _ = io::stderr().write_all(explain(&error, console.color()).as_bytes());
            exit_of(&error).into()
        }
    }
}

fn dispatch(command: Command, console: &Console) -> anyhow::Result<()> {
    match command {
        Command::Grade(args) => commands::grade::run(&args, console),
        Command::Reproduce(_)
        | Command::Generate(_)
        | Command::Eval(_)
        | Command::Model(_)
        | Command::Data(_)
        | Command::Doctor(_) => anyhow::bail!("this command is not built yet"),
    }
}
