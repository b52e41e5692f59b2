//! `afterthought model check`: is everything in a model directory as it should be?

use std::error::Error;
use std::path::Path;

use afterthought_models::hub::{WeightCheck, check_weights, open_network};
use serde::Serialize;

use crate::args::ModelCheckArgs;
use crate::commands::loaded::Loaded;
use crate::commands::model_path::resolve;
use crate::console::{Console, print_json, print_text, printable};

/// Checks the files, prints what was found and fails if something is wrong.
pub(crate) fn run(args: &ModelCheckArgs, console: &Console) -> anyhow::Result<()> {
    let directory = resolve(&args.model, console)?;
    let report = Report::make(&directory);
    match args.json {
        true => print_json(&report)?,
        false => print_text(&report.overview())?,
    }
    let count = report.problems.len();
    anyhow::ensure!(report.ok, "{} has {count} problem(s)", directory.display());
    Ok(())
}

/// What `--json` prints.
#[derive(Default, Serialize)]
struct Report {
    model: String,
    ok: bool,
    /// What keeps the model from being used, or makes it useless.
    problems: Vec<String>,
    /// What is worth knowing.
    notes: Vec<String>,
    files: usize,
    tensors: usize,
    parameters: usize,
    bytes: usize,
    /// Absent where the files could not be opened.
    weights: Option<WeightCheck>,
}

impl Report {
    fn make(directory: &Path) -> Self {
        let mut report = Self { model: directory.display().to_string(), ..Self::default() };
        // Files, headers, names and shapes; then what the tokenizer has to do with them.
        match open_network(directory) {
            Err(error) => report.problems.extend(lines(&error)),
            Ok((network, checkpoint)) => {
                report.files = checkpoint.files().len();
                report.tensors = checkpoint.names().count();
                report.bytes = checkpoint.bytes();
                report.parameters = network.parameters();
                report.read_weights(check_weights(&checkpoint), network.tied());
            }
        }
        if report.weights.is_some() {
            match Loaded::open(directory) {
                Ok(loaded) => report.describe(&loaded),
                Err(error) => report.problems.extend(lines(error.as_ref())),
            }
        }
        report.ok = report.problems.is_empty();
        report
    }

    fn read_weights(&mut self, found: WeightCheck, tied: bool) {
        for tensor in &found.non_finite {
            self.problems.push(format!(
                "{} has {} NaN and {} infinite of {} values",
                tensor.tensor, tensor.nan, tensor.infinite, tensor.values
            ));
        }
        for names in &found.identical {
            let names = names.join(" and ");
            match tied {
                true => self.notes.push(format!("{names} are the same: the head is tied")),
                false => self.notes.push(format!("{names} have the same values")),
            }
        }
        self.weights = Some(found);
    }

    fn describe(&mut self, loaded: &Loaded) {
        let unused = loaded.unused_ids().len();
        if unused > 0 {
            self.notes.push(format!("{unused} rows of the vocabulary belong to no token"));
        }
        let special = loaded.network.special_ids();
        let missing = special.iter().filter(|(role, id)| id.is_none() && *role == "eos");
        self.notes.extend(missing.map(|(role, _)| format!("config.json names no {role}_token_id")));
    }

    fn overview(&self) -> String {
        let mut text = format!(
            "{}: {} tensors, {:.2} M parameters, {:.1} MB in {} file(s)\n",
            self.model,
            self.tensors,
            self.parameters as f64 / 1e6,
            self.bytes as f64 / 1e6,
            self.files
        );
        for note in &self.notes {
            text += &format!("note: {}\n", printable(note));
        }
        for problem in &self.problems {
            text += &format!("problem: {}\n", printable(problem));
        }
        match self.ok {
            true => text + "all checks passed\n",
            false => text,
        }
    }
}

/// An error and its causes: lists of problems one by one, all else in one line.
fn lines(error: &(dyn Error + 'static)) -> Vec<String> {
    let mut chain = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(error) = cause {
        chain.push(error.to_string());
        cause = error.source();
    }
    match chain[0].split_once('\n') {
        Some((head, list)) => list.lines().map(|line| format!("{head} {line}")).collect(),
        None => vec![chain.join(": ")],
    }
}
