//! The report: tables, curves and sample traces.

use super::ablations::{self, Ablation};
use super::measure::{Item, Measured, Results, Variant};
use super::stages::{RlLog, RlPoint, SupervisedLog};
use super::world::{TASKS, World};
use crate::report::{Better, Cell, Curve, Report, Sample, Series, Table, Unit};
use afterthought_tasks::metrics::mean_interval;
use afterthought_tasks::{Profile, TaskName};

/// Reward over a run: means of consecutive windows of steps with 95 % intervals over groups.
pub(crate) fn smoothed(points: &[RlPoint], x: impl Fn(&RlPoint) -> f64) -> Vec<[f64; 4]> {
    let window = (points.len() / 20).max(1);
    points
        .chunks(window)
        .map(|chunk| {
            let rewards: Vec<f64> =
                chunk.iter().flat_map(|point| point.group_rewards.iter().copied()).collect();
            let at = chunk.iter().map(&x).sum::<f64>() / chunk.len() as f64;
            match mean_interval(&rewards) {
                Ok(mean) => [at, mean.estimate, mean.low, mean.high],
                // One group a window has no interval.
                Err(_) => [at, rewards[0], rewards[0], rewards[0]],
            }
        })
        .collect()
}

/// The paper's table 1 in one profile.
fn main_table(world: &World, results: &Results, profile: Profile) -> anyhow::Result<Table> {
    let lengths = &world.recipe.evaluation.lengths;
    let mut table = Table::default();
    table.columns.push("model".into());
    for task in TASKS {
        let columns = lengths.iter().map(|length| format!("{task} {length}"));
        table.columns.extend(columns.chain([format!("{task} all")]));
    }
    for variant in Variant::ALL {
        let mut row = vec![Cell::from(variant.label())];
        for task in TASKS {
            for length in lengths {
                row.push(match results.cell(variant, task, *length) {
                    Some(cell) => cell.score(profile)?.into(),
                    None => Cell::Missing,
                });
            }
            row.push(results.pooled(variant, task, profile)?.into());
        }
        table.rows.push(row);
    }
    for column in &table.columns[1..] {
        table.better.insert(column, Better::Higher);
        table.units.insert(column, Unit::Percent);
    }
    let problems = world.recipe.evaluation.test_problems;
    table.caption = Some(match profile {
        Profile::D1 => format!(
            "The paper's scoring by generation length, {problems} unseen problems a task, greedy: \
             Sudoku, share of empty cells filled rightly; Countdown, share of full training \
             rewards. 95 % intervals."
        ),
        Profile::Strict => format!(
            "Strict scoring on the same {problems} problems a task: one well-formed answer, givens \
             kept, exact arithmetic. 95 % intervals."
        ),
        Profile::Flexible => format!(
            "The same {problems} problems a task: as strict, and where the answer is not in the \
             format, the last thing that could be one. 95 % intervals."
        ),
    });
    Ok(table)
}

/// What decoding cost and produced.
fn effort_table(world: &World, results: &Results) -> Table {
    let columns =
        ["model", "task", "length", "effective tokens", "model calls", "tokens/s", "in the format"];
    let mut table = Table {
        columns: columns.map(ToOwned::to_owned).to_vec(),
        caption: Some(
            "Tokens before the first EOS, forward passes a completion, completion tokens decoded a \
             second, share of completions with a readable answer."
                .into(),
        ),
        ..Table::default()
    };
    table.units.insert("in the format", Unit::Percent);
    for variant in Variant::ALL {
        for task in TASKS {
            for length in &world.recipe.evaluation.lengths {
                let Some(cell) = results.cell(variant, task, *length) else {
                    continue;
                };
                table.rows.push(vec![
                    variant.label().into(),
                    task.to_string().as_str().into(),
                    Cell::Count(*length as i64),
                    cell.mean(|item| item.effective_tokens as f64).into(),
                    cell.mean(|item| item.model_calls as f64).into(),
                    cell.tokens_per_second.into(),
                    cell.mean(|item| f64::from(u8::from(item.formatted))).into(),
                ]);
            }
        }
    }
    table
}

fn supervised_curve(logs: &[(&str, &SupervisedLog)]) -> Curve {
    let series = logs
        .iter()
        .map(|(name, log)| Series {
            name: (*name).into(),
            points: log.loss.iter().map(|[step, loss]| [*step, *loss, *loss, *loss]).collect(),
        })
        .collect();
    Curve {
        x_label: "optimiser step".into(),
        y_label: "masked-diffusion loss (nats)".into(),
        series,
    }
}

fn reward_curve(curves: &[(Variant, TaskName, RlLog)], task: TaskName) -> Curve {
    let series = curves
        .iter()
        .filter(|(_, known, _)| *known == task)
        .map(|(variant, _, log)| Series {
            name: variant.label().into(),
            points: smoothed(&log.points, |point| point.step as f64),
        })
        .collect();
    Curve { x_label: "rollout step".into(), y_label: "mean reward of rollouts".into(), series }
}

fn validation_curve(curves: &[(Variant, TaskName, RlLog)], task: TaskName) -> Curve {
    let series = curves
        .iter()
        .filter(|(_, known, _)| *known == task)
        .map(|(variant, _, log)| Series {
            name: format!("{}, kept: {}", variant.label(), log.chosen),
            points: log
                .validation
                .iter()
                .map(|point| [point.step as f64, point.reward, point.reward, point.reward])
                .collect(),
        })
        .collect();
    Curve { x_label: "rollout step".into(), y_label: "reward on validation, greedy".into(), series }
}

/// Problems that training changed, else the first ones, as all four variants answered them.
fn samples(world: &World, results: &Results, task: TaskName) -> anyhow::Result<Vec<Sample>> {
    let length = world.recipe.rl.gen_length;
    let cells: Vec<&Measured> =
        Variant::ALL.iter().filter_map(|variant| results.cell(*variant, task, length)).collect();
    let (Some(base), Some(d1)) = (cells.first(), cells.last()) else {
        return Ok(Vec::new());
    };
    let problems = world.test(task)?;
    let changed = |index: &usize| !base.items[*index].strict && d1.items[*index].strict;
    let unchanged = |index: &usize| !changed(index);
    let all = 0..problems.len();
    let order = all.clone().filter(changed).chain(all.filter(unchanged));
    let mut samples = Vec::new();
    for (number, index) in order.take(world.recipe.evaluation.samples).enumerate() {
        for cell in &cells {
            let item: &Item = &cell.items[index];
            let mut sample = Sample {
                title: format!("{task} {}", number + 1),
                variant: cell.variant.label().into(),
                prompt: problems[index].prompt(world.format.style),
                text: item.text.clone(),
                reward: Some(item.reward),
                ..Sample::default()
            };
            sample.more.insert("solved".into(), item.strict.into());
            samples.push(sample);
        }
    }
    Ok(samples)
}

/// Fills everything but claims, warnings and the time.
pub(crate) fn fill(
    report: &mut Report,
    world: &World,
    results: &Results,
    supervised: &[(&str, &SupervisedLog)],
    curves: &[(Variant, TaskName, RlLog)],
    ablations: Option<&[Ablation]>,
) -> anyhow::Result<()> {
    report.tables.insert("accuracy_strict", main_table(world, results, Profile::Strict)?);
    report.tables.insert("accuracy_flexible", main_table(world, results, Profile::Flexible)?);
    report.tables.insert("accuracy_d1", main_table(world, results, Profile::D1)?);
    report.tables.insert("effort", effort_table(world, results));
    for task in TASKS {
        report.curves.insert(&format!("{task}: reward in training"), reward_curve(curves, task));
        report.curves.insert(&format!("{task}: checkpoint choice"), validation_curve(curves, task));
    }
    report.curves.insert("supervised loss", supervised_curve(supervised));
    if let Some(ablations) = ablations {
        let (base_mask, mu) =
            (world.recipe.rl.prompt_mask, world.recipe.ablations.prompt_mask_inner_updates);
        let masks: Vec<&Ablation> = ablations.iter().filter(|a| a.inner_updates == mu).collect();
        let updates: Vec<&Ablation> =
            ablations.iter().filter(|a| a.prompt_mask == base_mask).collect();
        let by_mask = |a: &Ablation| format!("p = {}", a.prompt_mask);
        let by_mu = |a: &Ablation| format!("mu = {}", a.inner_updates);
        let task = ablations::TASK;
        report.curves.insert(
            &format!("ablation: prompt masking, {task}, mu = {mu}"),
            ablations::curve(&masks, by_mask, false),
        );
        report.curves.insert(
            &format!("ablation: mu by steps, {task}"),
            ablations::curve(&updates, by_mu, false),
        );
        report.curves.insert(
            &format!("ablation: mu by wall time, {task}"),
            ablations::curve(&updates, by_mu, true),
        );
    }
    for task in TASKS {
        report.samples.extend(samples(world, results, task)?);
    }
    if let serde_json::Value::Object(recipe) = serde_json::to_value(&world.recipe)? {
        report.recipe = recipe;
        let precision = afterthought_kernels::precision().to_string();
        report.recipe.insert("precision".into(), precision.into());
    }
    Ok(())
}
