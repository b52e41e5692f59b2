//! `afterthought runs compare`.

use afterthought_runs::listing::Run;
use afterthought_runs::log::History;
use serde::Serialize;
use serde_json::Value;

use super::bars::spread;
use super::differences::differences;
use super::find::{find, require_metric};
use super::words::{NOTHING, number, one_line, progress, seconds, setting, what};
use crate::args::RunsCompareArgs;
use crate::console::{Console, print_json, print_text, table};

/// Rows of the table of one metric.
const ROWS: usize = 16;
/// What a metric is compared by where none is asked for, the first that any run has.
const USUAL: [&str; 4] = ["eval_reward", "reward", "eval_loss", "loss"];

/// Compares runs.
pub(crate) fn run(args: &RunsCompareArgs, _console: &Console) -> anyhow::Result<()> {
    let runs = args.runs.iter().map(|name| find(name)).collect::<Result<Vec<_>, _>>()?;
    let histories =
        runs.iter().map(|run| History::read(&run.path)).collect::<Result<Vec<_>, _>>()?;
    let shown: Vec<&History> = histories.iter().collect();
    for metric in &args.metric {
        require_metric(&shown, metric)?;
    }
    let comparison = Comparison::of(&runs, &shown, &args.metric);
    match args.json {
        true => print_json(&comparison),
        false => Ok(print_text(&comparison.overview(&runs))?),
    }
}

/// What `--json` prints; lists have one entry for each run, in the order of the arguments.
#[derive(Serialize)]
struct Comparison {
    runs: Vec<String>,
    states: Vec<&'static str>,
    /// Settings in which the recipes differ.
    settings: Vec<Setting>,
    /// The last step that all runs have logged.
    common_step: Option<u64>,
    metrics: Vec<Metric>,
    /// Chosen metrics on one axis of steps.
    series: Vec<Series>,
}

#[derive(Serialize)]
struct Setting {
    key: String,
    values: Vec<Option<Value>>,
}

#[derive(Serialize)]
struct Metric {
    name: String,
    last: Vec<Option<f64>>,
    /// Where one direction is better.
    best: Vec<Option<Point>>,
    /// At the last step that all runs have logged, or before it.
    at_common_step: Vec<Option<f64>>,
}

#[derive(Serialize)]
struct Point {
    step: u64,
    value: f64,
}

#[derive(Serialize)]
struct Series {
    name: String,
    rows: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    step: u64,
    /// `null` where a run logged nothing at this step.
    values: Vec<Option<f64>>,
}

impl Comparison {
    fn of(runs: &[Run], histories: &[&History], metrics: &[String]) -> Self {
        let recipes: Vec<_> = runs.iter().map(|run| &run.recipe).collect();
        let settings = differences(&recipes).into_iter();
        let common_step = histories.iter().map(|history| history.step()).min().flatten();
        let mut names: Vec<&str> = Vec::new();
        for name in histories.iter().flat_map(|history| history.names()) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let usual = || USUAL.into_iter().find(|name| names.contains(name)).map(str::to_owned);
        let chosen = match metrics {
            [] => usual().into_iter().collect(),
            metrics => metrics.to_vec(),
        };
        Self {
            runs: runs.iter().map(|run| run.name.clone()).collect(),
            states: runs.iter().map(|run| run.state.name()).collect(),
            settings: settings.map(|(key, values)| Setting { key, values }).collect(),
            common_step,
            metrics: names.iter().map(|name| Metric::of(name, histories, common_step)).collect(),
            series: chosen.into_iter().map(|name| Series::of(name, histories)).collect(),
        }
    }

    fn overview(&self, runs: &[Run]) -> String {
        let names: Vec<String> = self.runs.iter().map(|name| one_line(name)).collect();
        let header = |first: &str| {
            let names = names.iter().map(String::as_str);
            std::iter::once(first).chain(names).map(str::to_owned).collect::<Vec<_>>()
        };
        let new =
            |first: &str| table(&header(first).iter().map(String::as_str).collect::<Vec<_>>());
        let mut text = String::new();

        let mut facts = new("");
        let mut fact = |name: &str, value: &dyn Fn(&Run) -> String| {
            facts.add_row(std::iter::once(name.to_owned()).chain(runs.iter().map(value)));
        };
        fact("what", &what);
        fact("state", &|run| run.state.name().to_owned());
        fact("steps", &progress);
        fact("time", &|run| seconds(run.seconds));
        text += &format!("{}\n\n", facts.trim_fmt());

        if self.settings.is_empty() {
            text += "the recipes are the same\n";
        } else {
            let mut rows = new("setting");
            for Setting { key, values } in &self.settings {
                let values = values.iter().map(|v| v.as_ref().map_or(NOTHING.to_owned(), setting));
                rows.add_row(std::iter::once(one_line(key)).chain(values));
            }
            text += &format!("{}\n", rows.trim_fmt());
        }

        text += &self.at_common_step(&new);
        if !self.metrics.is_empty() {
            let mut rows = new("last (best at its step)");
            for metric in &self.metrics {
                let cells =
                    metric.last.iter().zip(&metric.best).map(|(last, best)| cell(*last, best));
                rows.add_row(std::iter::once(one_line(&metric.name)).chain(cells));
            }
            text += &format!("\n{}\n", rows.trim_fmt());
        }
        for series in &self.series {
            text += &format!("\n{}", series.overview(&new(&format!("{} at step", series.name))));
        }
        text
    }
}

impl Comparison {
    /// The numbers where all runs have got to, if some have got further.
    fn at_common_step(&self, new: &dyn Fn(&str) -> comfy_table::Table) -> String {
        let further = self.metrics.iter().any(|metric| metric.last != metric.at_common_step);
        let Some(step) = self.common_step.filter(|_| further) else {
            return String::new();
        };
        let mut rows = new(&format!("at step {step}, the last of all"));
        for metric in &self.metrics {
            let values = metric.at_common_step.iter();
            let values = values.map(|value| value.map_or(NOTHING.to_owned(), number));
            rows.add_row(std::iter::once(one_line(&metric.name)).chain(values));
        }
        format!("\n{}\n", rows.trim_fmt())
    }
}

fn cell(last: Option<f64>, best: &Option<Point>) -> String {
    match (last, best) {
        (None, _) => NOTHING.to_owned(),
        (Some(last), Some(Point { step, value })) => {
            format!("{} ({} at {step})", number(last), number(*value))
        }
        (Some(last), None) => number(last),
    }
}

impl Metric {
    fn of(name: &str, histories: &[&History], common_step: Option<u64>) -> Self {
        let until = |history: &History, step: Option<u64>| {
            let series = history.series(name).into_iter();
            let mut before = series.filter(|(at, _)| step.is_none_or(|step| *at <= step));
            before.next_back().map(|(_, value)| value)
        };
        let best =
            |history: &&History| history.best(name).map(|(step, value)| Point { step, value });
        Self {
            name: name.to_owned(),
            last: histories.iter().map(|history| until(history, None)).collect(),
            best: histories.iter().map(best).collect(),
            at_common_step: histories.iter().map(|h| until(h, common_step)).collect(),
        }
    }
}

impl Series {
    /// Every step at which any run logged the metric.
    fn of(name: String, histories: &[&History]) -> Self {
        let mut rows = std::collections::BTreeMap::new();
        for (index, history) in histories.iter().enumerate() {
            for (step, value) in history.series(&name) {
                let row = rows.entry(step).or_insert_with(|| vec![None; histories.len()]);
                row[index] = Some(value);
            }
        }
        let rows = rows.into_iter().map(|(step, values)| Row { step, values });
        Self { name, rows: rows.collect() }
    }

    fn overview(&self, empty: &comfy_table::Table) -> String {
        let mut rows = empty.clone();
        for index in spread(self.rows.len(), ROWS) {
            let Some(row) = self.rows.get(index) else { continue };
            let values = row.values.iter().map(|value| value.map_or(NOTHING.to_owned(), number));
            rows.add_row(std::iter::once(row.step.to_string()).chain(values));
        }
        let more = match self.rows.len() > ROWS {
            true => format!("{ROWS} of {} steps; --json has all\n", self.rows.len()),
            false => String::new(),
        };
        format!("{}\n{more}", rows.trim_fmt())
    }
}
