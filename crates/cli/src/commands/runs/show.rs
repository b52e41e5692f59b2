//! `afterthought runs show`.

use afterthought_runs::listing::{Kind, Run};
use afterthought_runs::log::{Hint, History, Watch};
use anyhow::Context;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::bars::{bar, range, sparkline, spread};
use super::differences::flatten;
use super::find::{find, require_metric};
use super::words::{NOTHING, number, one_line, progress, seconds, setting, shell, what};
use crate::args::RunsShowArgs;
use crate::console::{Console, print_json, print_text, table};
use crate::exit::UsageError;
use crate::report;

/// Bars of a curve in the table of metrics.
const CURVE: usize = 32;
/// Rows of the table of one metric.
const ROWS: usize = 20;

/// Shows a run.
pub(crate) fn run(args: &RunsShowArgs, console: &Console) -> anyhow::Result<()> {
    let run = find(&args.run)?;
    let history = History::read(&run.path)?;
    for metric in &args.metric {
        require_metric(&[&history], metric)?;
    }
    if args.report {
        write_report(&run, console)?;
    }
    if args.json {
        return print_json(&Document::new(&run, &history, &args.metric));
    }
    let mut text = facts(&run);
    if args.metric.is_empty() {
        text += &format!("\n{}{}", metrics(&history), hints(&history));
        text += &settings(&run.recipe);
    }
    for metric in &args.metric {
        text += &format!("\n{}", values(&history, metric));
    }
    Ok(print_text(&text)?)
}

fn write_report(run: &Run, console: &Console) -> anyhow::Result<()> {
    if run.kind != Kind::Train {
        let message = format!("{} is no run of `train`", run.path.display());
        return Err(UsageError::new(message).hint("`reproduce` writes its own report").into());
    }
    let context = || format!("cannot write the report of {}", run.path.display());
    report::train::report(&run.path)?.write(&run.path).with_context(context)?;
    console
        .note(&format!("wrote {}", one_line(&run.path.join("report.html").display().to_string())));
    Ok(())
}

/// What `--json` prints.
#[derive(Serialize)]
struct Document<'a> {
    #[serde(flatten)]
    run: &'a Run,
    hints: Vec<Hint>,
    /// `[step, value]` of each metric that was asked for.
    series: Map<String, Value>,
}

impl<'a> Document<'a> {
    fn new(run: &'a Run, history: &History, metrics: &[String]) -> Self {
        let series = metrics.iter().map(|name| (name.clone(), json!(history.series(name))));
        Self { run, hints: Watch::new().replay(history), series: series.collect() }
    }
}

fn facts(run: &Run) -> String {
    let mut rows = table(&[&one_line(&run.name), &format!("{}, {}", what(run), run.state.name())]);
    let mut fact = |name: &str, value: String| {
        rows.add_row([name.to_owned(), value]);
    };
    fact("directory", one_line(&run.path.display().to_string()));
    for (name, value) in
        [("recipe", &run.recipe_name), ("model", &run.model), ("forked from", &run.parent)]
    {
        if let Some(value) = value {
            fact(name, one_line(value));
        }
    }
    fact("steps", progress(run));
    fact("time", seconds(run.seconds));
    for (name, value) in [("began", &run.created), ("last heard of", &run.updated)] {
        if let Some(value) = value {
            fact(name, one_line(value));
        }
    }
    if let Some(message) = &run.message {
        fact("message", one_line(message));
    }
    if !run.stages.is_empty() {
        fact("stages", one_line(&run.stages.join(", ")));
    }
    if run.kind == Kind::Train {
        let steps: Vec<String> = run.checkpoints.iter().map(u64::to_string).collect();
        let steps = if steps.is_empty() { "none".to_owned() } else { steps.join(", ") };
        fact("checkpoints", steps);
    }
    for (name, file) in [("result", "final"), ("report", "report.html")] {
        let path = run.path.join(file);
        if path.exists() {
            fact(name, one_line(&path.display().to_string()));
        }
    }
    let mut text = rows.trim_fmt() + "\n";
    for problem in &run.problems {
        text += &format!("problem: {}\n", one_line(problem));
    }
    if !run.resume.is_empty() {
        // On a line of its own, and unchanged: it is there to be copied.
        text += &format!("\nto continue it:\n  {}\n", shell(&run.resume));
    }
    text
}

fn metrics(history: &History) -> String {
    if history.lines().is_empty() {
        return "no metrics yet\n".to_owned();
    }
    let mut rows = table(&["metric", "last", "best", "at step", "least", "greatest", "curve"]);
    for (name, _, last) in history.last() {
        let values: Vec<f64> = history.series(name).into_iter().map(|(_, value)| value).collect();
        let (low, high) = range(values.iter().copied());
        let best = history.best(name);
        let curve = sparkline(&values, CURVE);
        rows.add_row([
            one_line(name),
            number(last),
            best.map_or(String::new(), |(_, value)| number(value)),
            best.map_or(String::new(), |(step, _)| step.to_string()),
            number(low),
            number(high),
            curve,
        ]);
    }
    rows.trim_fmt() + "\n"
}

fn hints(history: &History) -> String {
    let line = |hint: &Hint| {
        let label = if hint.alarming { "warning" } else { "hint" };
        format!("{label}: step {}: {}\n", hint.step, hint.text)
    };
    let lines: String = Watch::new().replay(history).iter().map(line).collect();
    if lines.is_empty() { lines } else { format!("\n{lines}") }
}

fn settings(recipe: &Map<String, Value>) -> String {
    let settings = flatten(recipe);
    if settings.is_empty() {
        return String::new();
    }
    let mut rows = table(&["setting", "value"]);
    for (key, value) in settings {
        rows.add_row([one_line(&key), setting(&value)]);
    }
    format!("\n{}\n", rows.trim_fmt())
}

/// The values of one metric, with bars.
fn values(history: &History, metric: &str) -> String {
    let series = history.series(metric);
    let (low, high) = range(series.iter().map(|(_, value)| *value));
    // Heights compare honestly only from zero.
    let low = low.min(0.0);
    let mut rows = table(&["step", metric, ""]);
    for index in spread(series.len(), ROWS) {
        let Some((step, value)) = series.get(index) else { continue };
        rows.add_row([step.to_string(), number(*value), bar(*value, low, high, CURVE)]);
    }
    let mut text = rows.trim_fmt() + "\n";
    if series.len() > ROWS {
        text += &format!("{ROWS} of {} values; --json has all\n", series.len());
    }
    let best = history.best(metric);
    text += &match best {
        Some((step, value)) => format!("best {} at step {step}\n", number(value)),
        None => format!("best {NOTHING}: more of it is neither better nor worse\n"),
    };
    text
}
