//! `afterthought reproduce`.

use crate::args::{Paper, ReproduceArgs};
use crate::console::Console;
use crate::exit::Interrupted;
use crate::reproduce::d1;
use crate::signals;

pub(crate) fn run(args: &ReproduceArgs, console: &Console) -> anyhow::Result<()> {
    let interrupt = signals::install()?;
    let result = match args.paper {
        Paper::D1 => d1::run(args, console, &interrupt),
    };
    match result {
        // Decoding notices a signal as an error of its own; what was finished is on disk.
        Err(error) if interrupt() && error.downcast_ref::<Interrupted>().is_none() => {
            Err(Interrupted { checkpoint: d1::directory(args) }.into())
        }
        other => other,
    }
}
