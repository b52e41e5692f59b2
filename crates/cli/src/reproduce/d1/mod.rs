//! d1 (arXiv 2504.12216) from nothing: a base model, its SFT, diffu-GRPO from both, and the table
//! of the four variants.

mod ablations;
mod claims;
mod document;
mod measure;
mod recipe;
mod stages;
mod world;

use crate::args::{ReproduceArgs, RunPreset};
use crate::console::{Console, printable};
use crate::progress::Plan;
use crate::report::Report;
use crate::reproduce::run_dir::RunDir;
use ablations::Ablation;
use afterthought_models::Decoder;
use afterthought_tasks::{Profile, TaskName, summarise};
use afterthought_training::evaluate;
use measure::{Measured, Results, Variant, measure};
use recipe::Recipe;
use stages::{RlLog, Stages, SupervisedLog};
use std::path::PathBuf;
use std::time::Instant;
use world::{TASKS, World};

/// What makes two runs the same run.
#[derive(serde::Serialize)]
struct Request<'a> {
    command: &'static str,
    version: &'static str,
    preset: &'static str,
    seed: u64,
    ablations: bool,
    /// Another precision gives other numbers.
    precision: String,
    recipe: &'a Recipe,
}

fn preset_name(preset: RunPreset) -> &'static str {
    match preset {
        RunPreset::Laptop => "laptop",
        RunPreset::Smoke => "smoke",
    }
}

/// Where a run lives unless `--out` says otherwise.
pub(crate) fn directory(args: &ReproduceArgs) -> PathBuf {
    let preset = preset_name(args.preset);
    let ablations = if args.ablations { "-ablations" } else { "" };
    let default = || format!("runs/d1-{preset}-{}{ablations}", args.seed).into();
    args.out.clone().unwrap_or_else(default)
}

/// Runs the experiment, or continues it behind its last finished stage.
pub(crate) fn run(
    args: &ReproduceArgs,
    console: &Console,
    interrupt: &dyn Fn() -> bool,
) -> anyhow::Result<()> {
    let begun = Instant::now();
    let preset = preset_name(args.preset);
    let recipe = Recipe::preset(args.preset)?;
    let directory = directory(args);
    let request = Request {
        command: "reproduce d1",
        version: env!("CARGO_PKG_VERSION"),
        preset,
        seed: args.seed,
        ablations: args.ablations,
        precision: afterthought_kernels::precision().to_string(),
        recipe: &recipe,
    };
    let run = RunDir::open(&directory, &request)?;
    let result = perform(args, preset, console, interrupt, &run, recipe, begun);
    // Also after a failure or a signal: a later call that continues adds to it.
    run.log("calls.jsonl", &serde_json::json!({"seconds": begun.elapsed().as_secs_f64()}))?;
    result
}

fn perform(
    args: &ReproduceArgs,
    preset: &str,
    console: &Console,
    interrupt: &dyn Fn() -> bool,
    run: &RunDir,
    recipe: Recipe,
    begun: Instant,
) -> anyhow::Result<()> {
    let world = World::new(recipe, args.seed)?;
    let stages = Stages { world: &world, run, interrupt };
    let settings = if args.ablations { ablations::settings(&stages) } else { Vec::new() };
    let mut plan = Plan::new(console, &plan(&world.recipe, &settings));
    let mut experiment = Experiment { console, stages: &stages, plan: &mut plan };

    let base = experiment.base()?;
    let sft = experiment.sft(&base)?;
    let mut tuned = Vec::new();
    for task in TASKS {
        for (variant, start) in [(Variant::DiffuGrpo, &base), (Variant::D1, &sft)] {
            tuned.push((variant, task, experiment.reinforce(variant, task, start)?));
        }
    }
    let results = experiment.measure(&base, &sft, &tuned)?;
    let ablations = match args.ablations {
        true => Some(experiment.ablate(&base, &settings)?),
        false => None,
    };

    let mut report = Report::new("reproduce d1", preset, args.seed);
    let logs = [("base", read_log(run, "base")?), ("sft", read_log(run, "sft")?)];
    let supervised: Vec<(&str, &SupervisedLog)> = logs.iter().map(|(n, log)| (*n, log)).collect();
    let mut curves = Vec::new();
    for (variant, task, _) in &tuned {
        let log: RlLog = read_log(run, &variant.model(*task))?;
        curves.push((*variant, *task, log));
    }
    document::fill(&mut report, &world, &results, &supervised, &curves, ablations.as_deref())?;
    report.claims = claims::claims(&results, &curves, ablations.as_deref())?;
    if args.preset == RunPreset::Smoke {
        report
            .warnings
            .push("preset smoke: a few steps of everything; the numbers mean nothing".into());
    }
    report.summary = Some(
        "A masked-diffusion language model trained from nothing, its supervised fine-tuning, and \
         diffu-GRPO from both, after d1 (arXiv 2504.12216)."
            .into(),
    );
    write_samples(run, &results)?;
    let (earlier, unreadable) = run.earlier_seconds()?;
    if unreadable > 0 {
        report
            .warnings
            .push(format!("{unreadable} unreadable lines of calls.jsonl: elapsed_s is too small"));
    }
    report.elapsed_s = earlier + begun.elapsed().as_secs_f64();
    report.write(run.path())?;
    if args.json {
        crate::console::print_json(&report)?;
    } else {
        summary(&report, &results, run.path())?;
    }
    Ok(())
}

/// Stages and their rough share of the time.
fn plan(recipe: &Recipe, settings: &[(f64, usize)]) -> Vec<(&'static str, f64)> {
    // Seconds on two cores; only the proportions matter.
    let pretrain = 0.036 * recipe.pretrain.steps as f64;
    let sft = 0.05 * recipe.sft.steps as f64;
    let rl = 0.65 * recipe.rl.steps as f64;
    let cells = (Variant::ALL.len() * TASKS.len() * recipe.evaluation.lengths.len()) as f64;
    let measure = 0.0025 * cells * recipe.evaluation.test_problems as f64;
    let mut plan = vec![
        ("pre-training the base model", pretrain),
        ("supervised fine-tuning", sft),
        ("diffu-GRPO from the base, sudoku", rl),
        ("diffu-GRPO from SFT, sudoku", rl),
        ("diffu-GRPO from the base, countdown", rl),
        ("diffu-GRPO from SFT, countdown", rl),
        ("measuring the four variants", measure),
    ];
    plan.extend(settings.iter().map(|_| ("ablation", recipe.ablations.seconds)));
    plan
}

struct Experiment<'a> {
    console: &'a Console,
    stages: &'a Stages<'a>,
    plan: &'a mut Plan,
}

impl Experiment<'_> {
    fn world(&self) -> &World {
        self.stages.world
    }

    /// Whether an earlier call finished the stage; its model is loaded then.
    fn earlier(&mut self, name: &str) -> anyhow::Result<Option<Decoder>> {
        if self.stages.run.finished::<serde_json::Value>(name)?.is_none() {
            return Ok(None);
        }
        self.plan.skip();
        Ok(Some(self.stages.load(name)?))
    }

    fn base(&mut self) -> anyhow::Result<Decoder> {
        if let Some(decoder) = self.earlier("base")? {
            return Ok(decoder);
        }
        let stages = self.stages;
        let progress = self.plan.start(self.world().recipe.pretrain.steps as u64);
        let console = self.console;
        let decoder = stages
            .pretrain(&progress, &mut |decoder| show(stages, console, "first look", decoder))?;
        progress.finish();
        show(stages, console, "base", &decoder)?;
        Ok(decoder)
    }

    fn sft(&mut self, base: &Decoder) -> anyhow::Result<Decoder> {
        if let Some(decoder) = self.earlier("sft")? {
            return Ok(decoder);
        }
        let progress = self.plan.start(self.world().recipe.sft.steps as u64);
        let decoder = self.stages.fine_tune(base, &progress)?;
        progress.finish();
        show(self.stages, self.console, "sft", &decoder)?;
        Ok(decoder)
    }

    fn reinforce(
        &mut self,
        variant: Variant,
        task: TaskName,
        start: &Decoder,
    ) -> anyhow::Result<Decoder> {
        let name = variant.model(task);
        if let Some(decoder) = self.earlier(&name)? {
            return Ok(decoder);
        }
        let options = self.world().recipe.rl.clone();
        let progress = self.plan.start(options.steps as u64);
        let decoder = self.stages.reinforce(&name, start, task, &options, &progress)?;
        progress.finish();
        Ok(decoder)
    }

    fn measure(
        &mut self,
        base: &Decoder,
        sft: &Decoder,
        tuned: &[(Variant, TaskName, Decoder)],
    ) -> anyhow::Result<Results> {
        if let Some(cells) = self.stages.run.finished::<Vec<Measured>>("measured")? {
            self.plan.skip();
            return Ok(Results(cells));
        }
        let world = self.stages.world;
        let lengths = &world.recipe.evaluation.lengths;
        let progress = self.plan.start((Variant::ALL.len() * TASKS.len() * lengths.len()) as u64);
        let mut cells = Vec::new();
        for task in TASKS {
            let problems = world.test(task)?;
            for variant in Variant::ALL {
                let decoder = match variant {
                    Variant::Base => base,
                    Variant::Sft => sft,
                    _ => tuned
                        .iter()
                        .find(|(known, of, _)| (*known, *of) == (variant, task))
                        .map(|(_, _, decoder)| decoder)
                        .ok_or_else(|| anyhow::anyhow!("no model for {variant:?} on {task}"))?,
                };
                for length in lengths {
                    cells.push(measure(
                        world,
                        decoder,
                        &problems,
                        (variant, task, *length),
                        self.stages.interrupt,
                    )?);
                    progress.inc(1);
                }
            }
        }
        progress.finish();
        self.stages.run.finish("measured", &cells)?;
        Ok(Results(cells))
    }

    fn ablate(
        &mut self,
        start: &Decoder,
        settings: &[(f64, usize)],
    ) -> anyhow::Result<Vec<Ablation>> {
        let mut ablations = Vec::new();
        for setting in settings {
            let name = ablations::name(*setting);
            if let Some(ablation) = self.stages.run.finished::<Ablation>(&name)? {
                self.plan.skip();
                ablations.push(ablation);
                continue;
            }
            let progress = self.plan.start(0);
            let ablation = ablations::run(self.stages, start, *setting, &progress)?;
            progress.finish();
            self.stages.run.finish(&name, &ablation)?;
            ablations.push(ablation);
        }
        Ok(ablations)
    }
}

/// Prints what a model does by now: validation accuracy and one completion a task.
fn show(
    stages: &Stages<'_>,
    console: &Console,
    name: &str,
    decoder: &Decoder,
) -> anyhow::Result<()> {
    let world = stages.world;
    for task in TASKS {
        let problems = world.validation(task)?;
        let params = world.decoding(world.recipe.rl.gen_length, 0.0);
        let result =
            evaluate(decoder, &problems, &world.format, &params, world.seed, stages.interrupt)?;
        let strict = summarise(&result.grades(Profile::Strict)).score;
        let (reward, text) = (result.mean(|item| item.reward), printable(&result.items[0].text));
        console.note(&format!(
            "  {name}: {task} reward {reward:.2}, right {:.0} %\n    {}\n    {text}",
            100.0 * strict,
            printable(&problems[0].prompt(world.format.style)),
        ));
    }
    Ok(())
}

fn read_log<T: serde::de::DeserializeOwned>(run: &RunDir, stage: &str) -> anyhow::Result<T> {
    run.finished(stage)?.ok_or_else(|| anyhow::anyhow!("stage {stage} left no log"))
}

/// Every test completion of every variant.
fn write_samples(run: &RunDir, results: &Results) -> anyhow::Result<()> {
    let mut lines = String::new();
    for cell in &results.0 {
        for (index, item) in cell.items.iter().enumerate() {
            let line = serde_json::json!({
                "variant": cell.variant, "task": cell.task, "length": cell.length,
                "index": index, "text": item.text, "reward": item.reward,
                "strict": item.strict, "d1": item.d1,
            });
            lines.push_str(&line.to_string());
            lines.push('\n');
        }
    }
    run.replace("samples.jsonl", lines.as_bytes())
}

/// The table and the claims on stdout.
fn summary(report: &Report, results: &Results, directory: &std::path::Path) -> anyhow::Result<()> {
    let mut table = crate::console::table(&["model", "sudoku %", "countdown %"]);
    for variant in Variant::ALL {
        let mut row = vec![variant.label().to_owned()];
        for task in TASKS {
            let score = results.pooled(variant, task, Profile::Strict)?;
            row.push(format!(
                "{:.1}  [{:.1}, {:.1}]",
                100.0 * score.estimate,
                100.0 * score.low,
                100.0 * score.high
            ));
        }
        table.add_row(row);
    }
    let mut text = format!("strict accuracy over all lengths, 95 % intervals\n{table}\n\n");
    for claim in &report.claims {
        let verdict = if claim.holds { "holds         " } else { "does not hold " };
        text.push_str(&format!("{verdict} {}\n", claim.statement));
    }
    text.push_str(&format!("\nreport: {}\n", directory.join("report.html").display()));
    crate::console::print_text(&text)?;
    Ok(())
}
