//! The paper's claims, computed from what was measured.

use super::ablations::Ablation;
use super::measure::{Results, Variant};
use super::stages::RlLog;
use super::world::TASKS;
use crate::report::Claim;
use afterthought_random::Stream;
use afterthought_tasks::metrics::{Difference, bootstrap_difference};
use afterthought_tasks::{Profile, TaskName};
use serde_json::{Map, Value, json};

/// Rollout steps at the start and at the end of a reward curve that are compared: few at the start,
/// because the reward can rise within a handful of steps.
fn ends(steps: usize) -> (usize, usize) {
    ((steps / 50).clamp(1, 2), (steps / 6).clamp(1, 10))
}

/// A difference as JSON.
pub(super) fn shown(difference: &Difference) -> Value {
    let interval = difference.interval;
    json!({"difference": interval.estimate, "low": interval.low, "high": interval.high})
}

/// `b` above `a` on every task: the strict score averaged over lengths, paired by problem, with an
/// interval that excludes zero. The d1 scores are evidence only.
fn above(
    results: &Results,
    id: &str,
    statement: &str,
    pairs: &[(Variant, Variant)],
) -> anyhow::Result<Claim> {
    let mut evidence = Map::new();
    let mut holds = true;
    for task in TASKS {
        for (a, b) in pairs {
            let strict = results.difference(*a, *b, task, Profile::Strict)?;
            let d1 = results.difference(*a, *b, task, Profile::D1)?;
            holds &= strict.interval.low > 0.0;
            let name = format!("{task}: {} minus {}", b.label(), a.label());
            evidence.insert(name, json!({"strict": shown(&strict), "d1": shown(&d1)}));
        }
    }
    Ok(Claim { id: id.into(), statement: statement.into(), holds, evidence })
}

/// Difference of mean rewards between the first and the last rollout steps of a run; groups are
/// the independent units.
pub(crate) fn reward_gain(log: &RlLog) -> anyhow::Result<Difference> {
    let (start, end) = ends(log.points.len());
    let rewards = |points: &[super::stages::RlPoint]| {
        points.iter().flat_map(|point| point.group_rewards.iter().copied()).collect::<Vec<_>>()
    };
    let (first, last) =
        (rewards(&log.points[..start]), rewards(&log.points[log.points.len() - end..]));
    Ok(bootstrap_difference(&first, &last, 4000, &mut Stream::new(0, "reward gain", 0, 0))?)
}

/// Every claim that the run can decide.
pub(crate) fn claims(
    results: &Results,
    curves: &[(Variant, TaskName, RlLog)],
    ablations: Option<&[Ablation]>,
) -> anyhow::Result<Vec<Claim>> {
    use Variant::{Base, D1, DiffuGrpo, Sft};
    let mut evidence = Map::new();
    let mut moved = false;
    for (variant, task, log) in curves.iter().filter(|(_, _, log)| log.points.len() > 1) {
        let gain = reward_gain(log)?;
        moved |= gain.interval.low > 0.0;
        evidence.insert(format!("{task}: {}", variant.label()), shown(&gain));
    }
    evidence.insert("runs tested".into(), json!(evidence.len()));
    let mut claims = vec![
        Claim {
            id: "rl_curve_moves".into(),
            statement: "diffu-GRPO raises the training reward on at least one task".into(),
            holds: moved,
            evidence,
        },
        above(
            results,
            "diffu_grpo_above_base",
            "diffu-GRPO is above the base model on both tasks",
            &[(Base, DiffuGrpo)],
        )?,
        above(
            results,
            "diffu_grpo_above_sft",
            "diffu-GRPO is above SFT on both tasks",
            &[(Sft, DiffuGrpo)],
        )?,
        above(
            results,
            "d1_above_sft",
            "SFT + diffu-GRPO is above SFT on both tasks",
            &[(Sft, D1)],
        )?,
        above(
            results,
            "d1_best",
            "SFT + diffu-GRPO (d1) is the best of the four on both tasks",
            &[(Base, D1), (Sft, D1), (DiffuGrpo, D1)],
        )?,
    ];
    if let Some(ablations) = ablations {
        claims.extend(super::ablations::claims(ablations)?);
    }
    Ok(claims)
}
