//! The directory of `reproduce`.

use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::run::{Kind, Run, State, name_of, read_json};
use super::train::{last_metrics, tail};

/// Says what was asked.
pub(super) const REQUEST: &str = "request.json";

#[derive(Deserialize)]
struct Request {
    command: String,
    #[serde(default)]
    version: Option<String>,
    #[serde(default)]
    preset: Option<String>,
    #[serde(default)]
    seed: Option<u64>,
    #[serde(default)]
    ablations: Option<bool>,
    #[serde(default)]
    precision: Option<String>,
    #[serde(default)]
    recipe: Map<String, Value>,
}

#[derive(Deserialize)]
struct Call {
    seconds: f64,
}

/// Reads a directory that has a `request.json`.
pub(super) fn read(path: &Path) -> Result<Run, String> {
    let request: Request = read_json(path, REQUEST)?;
    let mut problems = Vec::new();
    let stages = stages(path, &mut problems);
    // The report is written last, when everything is done.
    let state = match path.join("report.json").exists() {
        true => State::Complete,
        false => State::Unfinished,
    };
    let history = tail(path, &mut problems);
    let resume = match state {
        State::Complete => Vec::new(),
        _ => request.resume(path),
    };
    let mut recipe = request.recipe;
    // They stand beside the recipe in the file; runs differ by them as by any other setting.
    let beside = [
        ("seed", request.seed.map(Value::from)),
        ("ablations", request.ablations.map(Value::from)),
        ("precision", request.precision.map(Value::from)),
    ];
    for (name, value) in beside {
        recipe.extend(value.map(|value| (name.to_owned(), value)));
    }
    Ok(Run {
        name: name_of(path),
        path: path.to_owned(),
        kind: Kind::Reproduce,
        command: request.command,
        program: request.version,
        method: None,
        model: None,
        recipe_name: request.preset,
        state,
        parent: None,
        message: None,
        step: None,
        total_steps: None,
        created: None,
        updated: None,
        seconds: seconds(path),
        metrics: last_metrics(&history),
        checkpoints: Vec::new(),
        stages,
        resume,
        problems,
        // It stands in the report.
        machine: None,
        recipe,
    })
}

impl Request {
    /// The same request again.
    fn resume(&self, path: &Path) -> Vec<String> {
        let mut arguments: Vec<String> = self.command.split(' ').map(str::to_owned).collect();
        let mut flag = |name: &str, value: Option<String>| {
            arguments.extend(value.into_iter().flat_map(|value| [name.to_owned(), value]));
        };
        flag("--preset", self.preset.clone());
        flag("--seed", self.seed.map(|seed| seed.to_string()));
        flag("--precision", self.precision.clone());
        flag("--out", Some(path.to_string_lossy().into_owned()));
        arguments.extend((self.ablations == Some(true)).then(|| "--ablations".to_owned()));
        arguments
    }
}

/// Names of the finished stages in the order in which they finished.
fn stages(path: &Path, problems: &mut Vec<String>) -> Vec<String> {
    let mut stages = Vec::new();
    match fs::read_dir(path.join("stages")) {
        Ok(entries) => {
            for entry in entries.flatten() {
                let file = entry.path();
                let name = file.file_stem().and_then(|stem| stem.to_str());
                let named = name.filter(|_| file.extension().is_some_and(|kind| kind == "json"));
                let finished = entry.metadata().and_then(|about| about.modified()).ok();
                stages.extend(named.map(|name| (finished, name.to_owned())));
            }
        }
        Err(error) => problems.push(format!("stages: {error}")),
    }
    stages.sort();
    stages.into_iter().map(|(_, name)| name).collect()
}

/// Seconds of all calls that ended in order.
fn seconds(path: &Path) -> Option<f64> {
    let text = fs::read_to_string(path.join("calls.jsonl")).ok()?;
    let calls = text.lines().filter_map(|line| serde_json::from_str::<Call>(line).ok());
    Some(calls.map(|call| call.seconds).sum())
}
