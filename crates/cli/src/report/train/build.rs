use std::path::Path;

use afterthought_runs::listing::{Run, open};
use afterthought_runs::log::{History, Watch, read_completions};
use serde_json::{Map, Value};

use super::curves::curves;
use super::numbers::numbers;
use super::samples::samples;
use crate::exit::UsageError;
use crate::report::Report;

/// The report of a run of `train` as its directory stands; [`Report::write`] writes it there.
///
/// # Errors
/// The directory is not a run of `train`, or a log in it cannot be read.
pub(crate) fn report(run_dir: &Path) -> anyhow::Result<Report> {
    let run = open(run_dir)
        .map_err(|why| UsageError::new(format!("{} is not a run: {why}", run_dir.display())))?;
    let history = History::read(run_dir)?;
    let (completions, unreadable) = read_completions(run_dir)?;
    let command = match &run.method {
        Some(method) => format!("train {method}"),
        None => run.command.clone(),
    };
    let preset = run.recipe_name.as_deref().unwrap_or(&run.name);
    let mut report = Report::new(&command, preset, seed(&run.recipe).unwrap_or_default());
    // Where it ran, not where the report is made.
    if let Some(machine) = &run.machine {
        match serde_json::from_value(machine.clone()) {
            Ok(machine) => report.machine = machine,
            Err(error) => report.warnings.push(format!("run.json: machine: {error}")),
        }
    }
    report.elapsed_s = run.seconds.unwrap_or_default();
    report.summary = Some(summary(&run, &history));
    report.tables = numbers(&history);
    report.curves = curves(&history);
    report.samples = samples(&completions);
    facts(&mut report, &run);
    hints(&mut report, &history);
    report.warnings.extend(run.problems.iter().cloned());
    if unreadable > 0 {
        report.warnings.push(format!("completions.jsonl: {unreadable} line(s) cannot be read"));
    }
    report.recipe = run.recipe;
    Ok(report)
}

fn summary(run: &Run, history: &History) -> String {
    let name = run.recipe_name.as_deref().unwrap_or(&run.name);
    let model = run.model.as_ref().map(|model| format!(" on {model}")).unwrap_or_default();
    let mut text = format!("{name}{model}: {}", run.state.name());
    if let Some(step) = run.step {
        let total = run.total_steps.map(|total| format!(" of {total}")).unwrap_or_default();
        text += &format!(" after {step}{total} steps");
    }
    if let Some(headline) = run.headline() {
        let first = history.series(&headline.name).first().copied();
        if let Some((step, value)) = first.filter(|(step, _)| *step != headline.step) {
            text += &format!(
                "; {} went from {value:.3} at step {step} to {:.3} at step {}",
                headline.name, headline.value, headline.step
            );
        }
    }
    text + "."
}

fn facts(report: &mut Report, run: &Run) {
    let mut fact = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            report.facts.insert(name, value);
        }
    };
    fact("recipe", run.recipe_name.clone());
    fact("model", run.model.clone());
    fact("began", run.created.clone());
    let steps: Vec<String> = run.checkpoints.iter().map(u64::to_string).collect();
    fact("checkpoints", (!steps.is_empty()).then(|| steps.join(", ")));
    fact("version", run.program.clone());
    // With no fact at all the page would speak of a preset.
    let named = run.recipe_name.as_ref().is_some_and(|name| *name == run.name);
    fact("run", (!named).then(|| run.name.clone()));
}

/// What is alarming is a warning; what only looks so is a hint.
fn hints(report: &mut Report, history: &History) {
    for hint in Watch::new().replay(history) {
        let text = format!("Step {}: {}.", hint.step, hint.text);
        match hint.alarming {
            true => report.warnings.push(text),
            false => report.hints.push(text),
        }
    }
}

/// The setting called `seed`, the outermost if there are several.
fn seed(recipe: &Map<String, Value>) -> Option<u64> {
    let inner = || recipe.values().filter_map(Value::as_object).find_map(seed);
    recipe.get("seed").and_then(Value::as_u64).or_else(inner)
}
