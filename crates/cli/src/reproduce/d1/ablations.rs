//! `--ablations`: prompt masking and the number of inner updates, all runs of equal wall time from
//! the base model on one task.

use super::claims::shown;
use super::recipe::Rl;
use super::stages::{RlLog, RlPoint, Stages};
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
    // Wall time ends the run; validation only at both ends.
    let options = Rl {
        prompt_mask,
        inner_updates,
        steps: 100_000,
        validate_every: 100_000,
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

/// Seconds until the mean reward of ten consecutive steps first reaches `level`.
fn seconds_to(points: &[RlPoint], level: f64) -> Option<f64> {
    let means: Vec<f64> = points.iter().map(mean_reward).collect();
    let window = 10.min(means.len()).max(1);
    means
        .windows(window)
        .position(|w| w.iter().sum::<f64>() / window as f64 >= level)
        .map(|at| points[at + window - 1].seconds)
}

fn mean_reward(point: &RlPoint) -> f64 {
    point.group_rewards.iter().sum::<f64>() / point.group_rewards.len().max(1) as f64
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
        // The level that the slower of the two ends at, a little below to allow for noise.
        let late = |a: &Ablation| {
            let rewards = late_rewards(a);
            rewards.iter().sum::<f64>() / rewards.len().max(1) as f64
        };
        let level = late(small).min(late(large)) - 0.02;
        let (slow, fast) =
            (seconds_to(&small.log.points, level), seconds_to(&large.log.points, level));
        let difference = late_difference(small, large)?;
        let mut evidence = Map::new();
        evidence.insert("reward level".into(), json!(level));
        evidence.insert("seconds, mu = 1".into(), json!(slow));
        evidence.insert(format!("seconds, mu = {largest}"), json!(fast));
        evidence.insert("late reward in equal time, difference".into(), shown(&difference));
        claims.push(Claim {
            id: "large_mu_is_faster".into(),
            statement: format!("mu = {largest} reaches the reward of mu = 1 in less wall time"),
            holds: matches!((slow, fast), (Some(slow), Some(fast)) if fast < slow)
                && difference.interval.low > -MARGIN,
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
