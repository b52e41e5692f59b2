//! `afterthought runs list`.

use afterthought_runs::listing::{self, Listing, Run};

use super::words::{NOTHING, number, one_line, progress, seconds, what};
use crate::args::RunsListArgs;
use crate::commands::missing::require_directory;
use crate::console::{Console, print_json, print_text, table};

/// Lists the runs of a folder.
pub(crate) fn run(args: &RunsListArgs, _console: &Console) -> anyhow::Result<()> {
    require_directory(&args.folder)?;
    let listing = listing::list(&args.folder)?;
    match args.json {
        true => print_json(&listing),
        false => Ok(print_text(&overview(&listing))?),
    }
}

fn overview(listing: &Listing) -> String {
    let mut text = match listing.runs.is_empty() {
        true => format!("no runs in {}\n", one_line(&listing.folder.display().to_string())),
        false => runs(&listing.runs) + "\n",
    };
    for run in &listing.runs {
        for problem in &run.problems {
            text += &format!("problem: {}: {}\n", one_line(&run.name), one_line(problem));
        }
    }
    for other in &listing.others {
        text += &format!("not a run: {}: {}\n", one_line(&other.name), one_line(&other.reason));
    }
    text
}

fn runs(runs: &[Run]) -> String {
    let columns = ["run", "what", "recipe", "model", "state", "steps", "time", "last", "began"];
    let mut rows = table(&columns);
    for run in runs {
        let headline = run.headline();
        let optional = |text: &Option<String>| text.as_deref().map_or(NOTHING.to_owned(), one_line);
        rows.add_row([
            one_line(&run.name),
            what(run),
            optional(&run.recipe_name),
            optional(&run.model),
            run.state.name().to_owned(),
            progress(run),
            seconds(run.seconds),
            headline.map_or(NOTHING.to_owned(), |m| format!("{} {}", m.name, number(m.value))),
            optional(&run.created),
        ]);
    }
    rows.trim_fmt()
}
