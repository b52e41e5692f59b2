//! `--ablations`: prompt masking and the number of inner updates, all runs of equal wall time from
//! the base model on one task.

use super::claims::shown;
use super::recipe::Rl;
use super::stages::{RlLog, Stages};
use crate::progress::Progress;
use crate::report::{Claim, Curve, Series};
use afterthought_models::Decoder;
use afterthought_random::Stream;
use afterthought_tasks::TaskName;
use afterthought_tasks::metrics::{Difference, bootstrap_difference};
use serde::{Deserialize, Serialize};
use serde_json::{Map, json};

/// Task of the ablations: the slower one to learn, so that runs have time to differ.
pub(crate) const TASK: TaskName = TaskName::Countdown;

/// A reward difference that does not matter: "no worse" means that a larger loss is excluded.
const MARGIN: f64 = 0.05;

/// One run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Ablation {
    pub(crate) prompt_mask: f64,
    pub(crate) inner_updates: usize,
    pub(crate) log: RlLog,
}

/// The settings to run: (prompt mask, mu), without repeats.
pub(crate) fn settings(stages: &Stages<'_>) -> Vec<(f64, usize)> {
    let recipe = &stages.world.recipe;
    let mu = recipe.ablations.prompt_mask_inner_updates;
    let masks = recipe.ablations.prompt_masks.iter().map(|mask| (*mask, mu));
    let updates = recipe.ablations.inner_updates.iter().map(|mu| (recipe.rl.prompt_mask, *mu));
    let mut all: Vec<(f64, usize)> = Vec::new();
    for setting in masks.chain(updates) {
        if !all.contains(&setting) {
            all.push(setting);
        }
    }
    all
}

/// Name of a setting's stage and of its lines in the log.
pub(crate) fn name((prompt_mask, inner_updates): (f64, usize)) -> String {
    format!("ablation-p{prompt_mask}-mu{inner_updates}")
}

/// Runs one setting for the recipe's wall time.
pub(crate) fn run(
    stages: &Stages<'_>,
    start: &Decoder,
    (prompt_mask, inner_updates): (f64, usize),
    progress: &Progress,
) -> anyhow::Result<Ablation> {
    let recipe = &stages.world.recipe;
    // Wall time, without that of validation, ends the run.
    let options = Rl {
        prompt_mask,
        inner_updates,
        steps: 100_000,
        validate_every: recipe.ablations.validate_every,
        ..recipe.rl.clone()
    };
    let name = name((prompt_mask, inner_updates));
    let limit = Some(recipe.ablations.seconds);
    let (_, log) = stages.rl_run(&name, start, TASK, &options, limit, progress)?;
    Ok(Ablation { prompt_mask, inner_updates, log })
}

/// Rewards of the groups in the last third of a run.
fn late_rewards(ablation: &Ablation) -> Vec<f64> {
    let points = &ablation.log.points;
    let from = points.len() - points.len().div_ceil(3);
    points[from..].iter().flat_map(|point| point.group_rewards.iter().copied()).collect()
}

fn late_difference(a: &Ablation, b: &Ablation) -> anyhow::Result<Difference> {
    let mut stream = Stream::new(0, "ablation", 0, 0);
    Ok(bootstrap_difference(&late_rewards(a), &late_rewards(b), 4000, &mut stream)?)
}

/// Rollout steps and seconds of training until two validations in a row have a reward of at least
/// `level`. Greedy validation, not the rewards of the rollouts: those are smoothed over many steps,
/// and large `mu` gets there in two or three.
fn reach(log: &RlLog, level: f64) -> Option<(usize, f64)> {
    let at = log.validation.windows(2).position(|w| w.iter().all(|v| v.reward >= level))?;
    let step = log.validation[at].step;
    Some((step, log.points[..step].last().map_or(0.0, |point| point.seconds)))
}

/// Mean validation reward of the last third of a run.
fn late_validation(ablation: &Ablation) -> f64 {
    let points = &ablation.log.validation;
    let late = &points[points.len() - points.len().div_ceil(3)..];
    late.iter().map(|point| point.reward).sum::<f64>() / late.len().max(1) as f64
}

/// Seconds of a rollout batch and of an update on it: a step takes `rollout + mu update`.
fn prices(small: &Ablation, large: &Ablation) -> Option<(f64, f64)> {
    let of = |ablation: &Ablation| {
        Some(ablation.log.points.last()?.seconds / ablation.log.points.len() as f64)
    };
    let more = large.inner_updates.checked_sub(small.inner_updates).filter(|more| *more > 0)?;
    let update = (of(large)? - of(small)?) / more as f64;
    Some((of(small)? - small.inner_updates as f64 * update, update))
}

/// Random prompt masking no worse than none at large mu; large mu reaches the same reward sooner.
pub(crate) fn claims(ablations: &[Ablation]) -> anyhow::Result<Vec<Claim>> {
    let mut claims = Vec::new();
    let largest = ablations.iter().map(|a| a.inner_updates).max().unwrap_or(1);
    let at = |mask: f64, mu: usize| {
        ablations.iter().find(|a| a.prompt_mask == mask && a.inner_updates == mu)
    };
    if let (Some(none), Some(random)) = (at(0.0, largest), at(0.15, largest)) {
        let difference = late_difference(none, random)?;
        let mut evidence = Map::new();
        evidence.insert("late reward, p = 0.15 minus p = 0".into(), shown(&difference));
        evidence.insert("margin".into(), json!(MARGIN));
        claims.push(Claim {
            id: "prompt_masking_no_worse".into(),
            statement: format!(
                "random prompt masking (p = 0.15) is no worse than none at mu = {largest}"
            ),
            holds: difference.interval.low > -MARGIN,
            evidence,
        });
    }
    if let (Some(small), Some(large)) = (at(0.15, 1), at(0.15, largest)) {
        // Where mu = 1 ends, a little below to allow for noise.
        let level = late_validation(small) - 0.02;
        let (slow, fast) = (reach(&small.log, level), reach(&large.log, level));
        let found = |at: Option<(usize, f64)>| at.map(|(step, s)| json!({"steps": step, "s": s}));
        let mut evidence = Map::new();
        evidence.insert("validation reward to reach".into(), json!(level));
        evidence.insert("reached, mu = 1".into(), json!(found(slow)));
        evidence.insert(format!("reached, mu = {largest}"), json!(found(fast)));
        if let Some((rollout, update)) = prices(small, large) {
            evidence.insert("seconds of a rollout batch".into(), json!(rollout));
            evidence.insert("seconds of an update".into(), json!(update));
        }
        let difference = late_difference(small, large)?;
        evidence.insert("late reward in equal time, difference".into(), shown(&difference));
        claims.push(Claim {
            id: "large_mu_is_faster".into(),
            statement: format!("mu = {largest} reaches the reward of mu = 1 in less wall time"),
            holds: matches!((slow, fast), (Some((_, slow)), Some((_, fast))) if fast < slow),
            evidence,
        });
    }
    Ok(claims)
}

/// Reward curves of a set of runs, by rollout step or by seconds.
pub(crate) fn curve(
    ablations: &[&Ablation],
    label: impl Fn(&Ablation) -> String,
    by_time: bool,
) -> Curve {
    let series = ablations
        .iter()
        .map(|ablation| Series {
            name: label(ablation),
            points: super::document::smoothed(&ablation.log.points, |point| {
                if by_time { point.seconds } else { point.step as f64 }
            }),
        })
        .collect();
    Curve {
        x_label: if by_time { "seconds of training" } else { "rollout step" }.into(),
        y_label: "mean reward".into(),
        series,
    }
}
