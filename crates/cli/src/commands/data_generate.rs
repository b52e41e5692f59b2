//! `afterthought data generate`: problems as JSON lines.

use std::collections::BTreeSet;

use crate::args::DataGenerateArgs;
use crate::commands::generated::{Wanted, problems};
use crate::commands::new_file::NewFile;
use crate::console::{Console, print_text};
use crate::exit::UsageError;

/// Writes the problems and says how many there are.
pub(crate) fn run(args: &DataGenerateArgs, console: &Console) -> anyhow::Result<()> {
    if args.count == 0 {
        return Err(UsageError::new("--count is 0").hint("ask for at least one problem").into());
    }
    let mut file = NewFile::create(&args.out)?;
    let wanted = Wanted {
        task: args.task,
        split: args.split,
        empties: args.empties,
        numbers: args.numbers,
        seed: args.seed,
    };
    let mut prompts = BTreeSet::new();
    for problem in problems(&wanted, args.count)? {
        let record = problem.record();
        file.line(&record)?;
        prompts.insert(record["prompt"].to_string());
    }
    file.finish()?;
    let repeats = args.count - prompts.len();
    if repeats > 0 {
        console.note(&format!(
            "{repeats} of {} problems occur more than once: they were drawn independently",
            args.count
        ));
    }
    let (count, path) = (args.count, args.out.display());
    Ok(print_text(&format!("{path}: {count} problems, {} different", prompts.len()))?)
}
