//! `afterthought eval`: a model's accuracy on a task.

use std::path::Path;
use std::time::Instant;

use afterthought_tasks::metrics::{Interval, wilson};
use afterthought_tasks::{
    Grade, Outcome, Problem, Profile, PromptStyle, Summary, TaskName, read_problems, summarise,
};
use afterthought_training::PromptFormat;
use anyhow::Context;
use serde::Serialize;

use crate::args::{EvalArgs, GeneratedTask};
use crate::commands::decode::{Decoded, decode};
use crate::commands::generate::committed;
use crate::commands::generated::{Wanted, problems as generated};
use crate::commands::loaded::Loaded;
use crate::commands::missing::require_file;
use crate::commands::new_file::NewFile;
use crate::commands::sampling_flags::{Settings, check_prompts, resolve};
use crate::console::{Console, print_json, print_text, table};
use crate::exit::{UsageError, hinted};
use crate::progress::Progress;

/// Generated problems when nobody says how many.
const GENERATED: usize = 256;

/// Decodes a completion of each problem, grades it and prints the result.
pub(crate) fn run(args: &EvalArgs, console: &Console) -> anyhow::Result<()> {
    let problems = problems(args)?;
    let mut out = args.out.as_deref().map(NewFile::create).transpose()?;
    let loaded = Loaded::open(&args.model)?;
    let params = resolve(&args.sampling, &loaded)?;
    let format = loaded.format()?;
    let prompts = encode(&loaded, &format, &problems)?;
    check_prompts(&params, &loaded, &prompts, &|index| format!("the prompt of item {index}"))?;

    let settings = Settings::new(&params, args.sampling.seed);
    console.note(&format!(
        "{} items of {}, sampling {}",
        problems.len(),
        args.task,
        settings.line()
    ));
    let progress = Progress::single(console, "tokens", (prompts.len() * params.gen_length) as u64);
    let begun = Instant::now();
    let decoded = decode(&loaded, &prompts, &params, args.sampling.seed, &mut |event| {
        progress.inc(committed(event));
    })?;
    progress.finish();
    let seconds = begun.elapsed().as_secs_f64();

    let items = (problems.iter().zip(&decoded).enumerate())
        .map(|(index, (problem, decoded))| {
            Item::new(index, problem.as_ref(), decoded, &format, args.profile)
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    if let Some(mut file) = out.take() {
        for item in &items {
            file.line(item)?;
        }
        file.finish()?;
    }
    let grades: Vec<Grade> = items.iter().map(|item| item.grade.clone()).collect();
    let tokens: usize = items.iter().map(|item| item.tokens).sum();
    let result = Document::new(args, &summarise(&grades), settings, seconds, tokens)?;
    match args.json {
        true => print_json(&result),
        false => Ok(print_text(&result.overview())?),
    }
}

fn problems(args: &EvalArgs) -> anyhow::Result<Vec<Box<dyn Problem>>> {
    if args.limit == Some(0) {
        return Err(UsageError::new("--limit is 0").hint("measure at least one item").into());
    }
    let Some(path) = &args.data else {
        let task = match args.task {
            TaskName::Sudoku => GeneratedTask::Sudoku,
            TaskName::Countdown => GeneratedTask::Countdown,
            task => {
                return Err(UsageError::new(format!("{task} needs --data FILE"))
                    .hint("only sudoku and countdown problems can be generated")
                    .into());
            }
        };
        let wanted = Wanted {
            task,
            split: args.split,
            empties: None,
            numbers: None,
            seed: args.sampling.seed,
        };
        return generated(&wanted, args.limit.unwrap_or(GENERATED));
    };
    let mut problems = read(args.task, path)?;
    problems.truncate(args.limit.unwrap_or(usize::MAX));
    Ok(problems)
}

fn read(task: TaskName, path: &Path) -> anyhow::Result<Vec<Box<dyn Problem>>> {
    require_file(path)?;
    let problems = read_problems(task, path)
        .map_err(|error| hinted(error, format!("is this a file of {task} problems?")))?;
    if problems.is_empty() {
        return Err(UsageError::new(format!("{} holds no problems", path.display())).into());
    }
    Ok(problems)
}

fn encode(
    loaded: &Loaded,
    format: &PromptFormat,
    problems: &[Box<dyn Problem>],
) -> anyhow::Result<Vec<Vec<u32>>> {
    let encode = |(index, problem): (usize, &dyn Problem)| {
        let text = problem.prompt(format.style);
        let name = match format.style {
            PromptStyle::Compact => format!("item {index}, prompt {text:?}"),
            PromptStyle::D1 => format!("item {index}"),
        };
        loaded.encode(format, &text, &name)
    };
    problems.iter().map(AsRef::as_ref).enumerate().map(encode).collect()
}

/// A line of `--out`.
#[derive(Serialize)]
struct Item {
    index: usize,
    prompt: String,
    completion: String,
    answer: Option<String>,
    verdict: Outcome,
    score: f64,
    tokens: usize,
    model_calls: usize,
    #[serde(skip)]
    grade: Grade,
}

impl Item {
    fn new(
        index: usize,
        problem: &dyn Problem,
        decoded: &Decoded,
        format: &PromptFormat,
        profile: Profile,
    ) -> anyhow::Result<Self> {
        let rollout = &decoded.rollout;
        let completion = format.completion(rollout)?;
        let grade = problem.grade(&completion, profile);
        let ids = rollout.completion.iter();
        Ok(Self {
            index,
            prompt: problem.prompt(format.style),
            completion,
            answer: grade.answer.clone(),
            verdict: grade.verdict,
            score: grade.score,
            tokens: ids.take_while(|id| **id != format.eos).count(),
            model_calls: rollout.model_calls,
            grade,
        })
    }
}

/// What `--json` prints.
#[derive(Serialize)]
struct Document {
    task: TaskName,
    profile: Profile,
    model: String,
    /// The file, or the part of a generated task.
    data: String,
    sampling: Settings,
    total: usize,
    correct: usize,
    /// Share of correct items with Wilson's 95 % interval.
    accuracy: Interval,
    /// Of the accuracy; unknown for a single item.
    standard_error: Option<f64>,
    /// Points earned over points possible.
    score: f64,
    no_answer: usize,
    undecided: usize,
    /// Mean tokens of a completion.
    mean_tokens: f64,
    seconds: f64,
}

impl Document {
    fn new(
        args: &EvalArgs,
        summary: &Summary,
        sampling: Settings,
        seconds: f64,
        tokens: usize,
    ) -> anyhow::Result<Self> {
        let accuracy = wilson(summary.correct, summary.total).context("no item was graded")?;
        let p = accuracy.estimate;
        let standard_error =
            (summary.total > 1).then(|| (p * (1.0 - p) / (summary.total - 1) as f64).sqrt());
        Ok(Self {
            task: args.task,
            profile: args.profile,
            model: args.model.display().to_string(),
            data: match &args.data {
                Some(path) => path.display().to_string(),
                None => format!("generated, {}", args.split.name()),
            },
            sampling,
            total: summary.total,
            correct: summary.correct,
            accuracy,
            standard_error,
            score: summary.score,
            no_answer: summary.no_answer,
            undecided: summary.undecided,
            mean_tokens: tokens as f64 / summary.total as f64,
            seconds,
        })
    }

    fn overview(&self) -> String {
        let mut table = table(&[
            "task",
            "profile",
            "items",
            "correct",
            "accuracy",
            "95 % interval",
            "std. error",
            "score",
            "no answer",
            "tokens",
        ]);
        let percent = |share: f64| format!("{:.2} %", 100.0 * share);
        let Interval { low, high, .. } = self.accuracy;
        table.add_row([
            self.task.to_string(),
            self.profile.to_string(),
            self.total.to_string(),
            self.correct.to_string(),
            percent(self.accuracy.estimate),
            format!("{:.1}–{:.1} %", 100.0 * low, 100.0 * high),
            self.standard_error.map_or("–".to_owned(), percent),
            percent(self.score),
            self.no_answer.to_string(),
            format!("{:.1}", self.mean_tokens),
        ]);
        if self.undecided > 0 {
            let note = format!("{} items could not be decided", self.undecided);
            return format!("{}\n{note}", table.trim_fmt());
        }
        table.trim_fmt()
    }
}
