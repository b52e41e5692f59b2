//! `afterthought grade`: grades generations that others wrote.

use std::io;
use std::path::Path;

use afterthought_tasks::generations::{Generation, read_generations};
use afterthought_tasks::metrics::wilson;
use afterthought_tasks::{Grade, Outcome, Profile, Summary, TaskError, TaskName, summarise};
use anyhow::Context;
use serde::Serialize;

use crate::args::GradeArgs;
use crate::console::{Console, print_json, print_text, table};
use crate::exit::{UsageError, hinted};

/// Grades every completion of every file, in order, and prints the result.
pub(crate) fn run(args: &GradeArgs, console: &Console) -> anyhow::Result<()> {
    let mut grades = Vec::new();
    for path in &args.files {
        let generations = read(path)?;
        if generations.is_empty() {
            console.warn(&format!("{} holds no generations", path.display()));
        }
        for (item, generation) in generations.iter().enumerate() {
            let graded = grade(args.task, args.profile, generation)
                .with_context(|| format!("{}: item {item}", path.display()))
                .map_err(|error| {
                    hinted(error, format!("is this a file of {} generations?", args.task))
                })?;
            grades.extend(graded);
        }
    }
    let summary = summarise(&grades);
    if args.json {
        print_json(&Document::new(args.task, args.profile, &summary, &grades))
    } else {
        Ok(print_text(&overview(args.task, args.profile, &summary)?)?)
    }
}

/// A path that cannot be opened is the user's to correct; what is in the file is not.
fn read(path: &Path) -> anyhow::Result<Vec<Generation>> {
    read_generations(path).map_err(|error| match &error {
        TaskError::Read { source, .. } if source.kind() != io::ErrorKind::InvalidData => {
            let message = format!("cannot read {}", path.display());
            let reason = io::Error::new(source.kind(), source.to_string());
            UsageError::caused_by(message, reason).hint("check the path").into()
        }
        _ => hinted(
            error,
            "a file of generations is a JSON object with a `generations` array, or one JSON object \
             a line, of {question, generations, ground_truth}",
        ),
    })
}

/// The grade of each completion that was sampled for a question.
fn grade(task: TaskName, profile: Profile, generation: &Generation) -> anyhow::Result<Vec<Grade>> {
    let problem = generation.problem(task)?;
    anyhow::ensure!(!generation.completions.is_empty(), "`generations` is an empty list");
    let completions = generation.completions.iter();
    Ok(completions.map(|completion| problem.grade(completion, profile)).collect())
}

/// What `--json` prints.
#[derive(Serialize)]
struct Document<'a> {
    task: TaskName,
    profile: Profile,
    total: usize,
    correct: usize,
    score: f64,
    undecided: usize,
    items: Vec<Item<'a>>,
}

#[derive(Serialize)]
struct Item<'a> {
    /// Position among all completions of all files.
    index: usize,
    answer: Option<&'a str>,
    verdict: Outcome,
    score: f64,
}

impl<'a> Document<'a> {
    fn new(task: TaskName, profile: Profile, summary: &Summary, grades: &'a [Grade]) -> Self {
        let item = |(index, grade): (usize, &'a Grade)| Item {
            index,
            answer: grade.answer.as_deref(),
            verdict: grade.verdict,
            score: grade.score,
        };
        Self {
            task,
            profile,
            total: summary.total,
            correct: summary.correct,
            score: summary.score,
            undecided: summary.undecided,
            items: grades.iter().enumerate().map(item).collect(),
        }
    }
}

/// The result as one line of a table.
fn overview(task: TaskName, profile: Profile, summary: &Summary) -> anyhow::Result<String> {
    let mut table = table(&[
        "task",
        "profile",
        "graded",
        "correct",
        "accuracy",
        "95 % interval",
        "score",
        "no answer",
        "undecided",
    ]);
    let percent = |share: f64| format!("{:.2} %", 100.0 * share);
    let (accuracy, interval) = match summary.total {
        0 => ("–".to_owned(), "–".to_owned()),
        total => {
            let accuracy = wilson(summary.correct, total)?;
            let ends = [accuracy.low, accuracy.high].map(|end| format!("{:.1}", 100.0 * end));
            (percent(accuracy.estimate), format!("{} %", ends.join("–")))
        }
    };
    table.add_row([
        task.to_string(),
        profile.to_string(),
        summary.total.to_string(),
        summary.correct.to_string(),
        accuracy,
        interval,
        percent(summary.score),
        summary.no_answer.to_string(),
        summary.undecided.to_string(),
    ]);
    Ok(table.trim_fmt())
}
