//! The order of things: read, check, then plan or train.

use afterthought_recipes::train::{LAYOUT, Optimizer};
use afterthought_recipes::{json_schema, reference};
use afterthought_runs::Retention;
use afterthought_runs::log::{History, Line, RunLog, Watch};
use afterthought_training::{AdamW, Learner, Schedule};
use serde_json::json;

use super::identity::fingerprint;
use super::interval::Interval;
use super::outcome;
use super::plan;
use super::prepared::{Built, Prepared};
use super::request::Request;
use super::run::Run;
use super::run_dir::{FINAL, RunDir, Status};
use super::saved::{Position, Saved, open_one, require_unchanged, restore};
use super::start::Trainable;
use crate::args::{RecipeDocument, TrainArgs};
use crate::console::{Console, print_json, print_text};
use crate::exit::{Interrupted, hinted};
use crate::report;
use crate::signals;

/// Runs the command.
pub(crate) fn run(args: &TrainArgs, console: &Console) -> anyhow::Result<()> {
    match args.print {
        Some(RecipeDocument::Schema) => return print_json(&json_schema(&LAYOUT)),
        Some(RecipeDocument::Reference) => {
            return Ok(print_text(reference(&LAYOUT).trim_end())?);
        }
        None => {}
    }
    let stop = signals::install()?;
    let request = Request::read(args)?;
    if !args.dry_run {
        RunDir::require_unfinished(&request.out, args.allow_change)?;
    }
    let mut prepared = Prepared::new(&request, console)?;
    if args.dry_run {
        return plan::print(&request, &mut prepared, console, args.json);
    }
    prepared.require_room(&request.train, console)?;
    let result = train(args, &request, prepared, console, &stop);
    match result {
        Err(error) if error.downcast_ref::<Interrupted>().is_some() => {
            Err(hinted(error, "add --resume to the same command to go on"))
        }
        other => other,
    }
}

fn adamw(optimizer: &Optimizer) -> AdamW {
    AdamW {
        beta_1: optimizer.beta_1,
        beta_2: optimizer.beta_2,
        epsilon: optimizer.epsilon,
        weight_decay: optimizer.weight_decay,
        max_grad_norm: optimizer.max_grad_norm,
    }
}

fn train(
    args: &TrainArgs,
    request: &Request,
    mut prepared: Prepared,
    console: &Console,
    stop: &dyn Fn() -> bool,
) -> anyhow::Result<()> {
    let recipe = &request.train;
    let total = prepared.total_steps(request);
    // A reward that does not work at all shall not show as failures of a run for hours.
    prepared.check_rewards(console)?;
    let dir = RunDir::open(request, args.resume, args.allow_change, total)?;
    let now = fingerprint(request, &prepared.start, &prepared.files)?;
    let retention = Retention { last: recipe.run.keep_last, best: recipe.run.keep_best };
    let saved = Saved::open(dir.path(), retention, now.clone(), console)?;
    let from = match (&args.fork, args.resume) {
        (Some(path), _) => Some(open_one(path)?),
        (None, true) => saved.latest().cloned(),
        (None, false) => None,
    };
    if args.resume
        && let Some(checkpoint) = &from
    {
        require_unchanged(checkpoint, &now, args.allow_change, console)?;
    }
    if !args.resume || args.allow_change {
        dir.describe(request, args.fork.as_deref())?;
    }
    let trainable = prepared.start.decoder(recipe.seed)?;
    if stop() {
        return Err(Interrupted { checkpoint: dir.path().to_owned() }.into());
    }
    let updates = match &recipe.rl {
        Some(rl) => total as usize * rl.inner_updates,
        None => total as usize,
    };
    let schedule = Schedule {
        peak: recipe.optimizer.learning_rate,
        warmup: recipe.optimizer.warmup,
        total: updates,
        decay: serde_json::from_value(recipe.optimizer.decay.clone())?,
    };
    let built = prepared.trainer(request, &trainable)?;
    let Trainable { decoder, adapter } = trainable;
    let mut learner = Learner::new(decoder, adamw(&recipe.optimizer), schedule);
    if recipe.lora.as_ref().is_some_and(|lora| lora.dropout > 0.0) {
        learner = learner.with_dropout(recipe.seed);
    }
    let mut position = match &from {
        Some(checkpoint) => restore(checkpoint, &mut learner)?,
        None => Position::default(),
    };
    if !args.resume {
        // A fork's log is about its own steps.
        position.interval = Interval::default();
    }
    let resume_step = args.resume.then_some(position.step);
    let (mut log, notices) = RunLog::open(dir.path(), resume_step)?;
    for notice in notices {
        console.warn(&notice.to_string());
    }
    let (mut watch, mut logged) = (Watch::new(), None);
    if args.resume {
        // Hints of the part that was logged have been given.
        let history = History::read(dir.path())?;
        let validation =
            |line: &&Line| line.values.iter().any(|(name, _)| name.starts_with("eval_"));
        logged = history.lines().iter().rfind(validation).map(|line| line.step);
        drop(watch.replay(&history));
        console.note(&format!("going on after step {} of {total}", position.step));
    } else {
        let text = format!("```toml\n{}\n```", request.recipe.to_toml());
        for notice in log.text("recipe", &text) {
            console.warn(&notice.to_string());
        }
    }
    let Built { trainer, start } = built;
    let mut run = Run {
        train: recipe,
        total,
        trainer,
        learner,
        position,
        saved,
        log,
        watch,
        dir: &dir,
        console,
        stop,
        updates: 0,
        logged,
        measured: None,
    };
    run.updates = run.learner.step();
    run.finish()?;
    let (learner, saved) = (run.learner, run.saved);
    let step = outcome::write(request, &start, &dir, &saved, learner, adapter.as_ref())?;
    dir.set_status(Status::Complete, total, None)?;
    let path = dir.path().to_owned();
    // A run whose directory is in use is one that runs.
    drop(dir);
    // The model is there; a report that cannot be written is no reason to call the run failed.
    let written = report::train::report(&path).and_then(|mut report| Ok(report.write(&path)?));
    if let Err(error) = written {
        console.warn(&format!("no report: {error:#}"));
    }
    let result = path.join(FINAL);
    match args.json {
        true => print_json(&json!({
            "run": path.display().to_string(),
            "result": result.display().to_string(),
            "adapter": adapter.is_some(),
            "step": step,
            "steps": total,
        })),
        false => Ok(print_text(&format!("{} (after step {step})", result.display()))?),
    }
}
