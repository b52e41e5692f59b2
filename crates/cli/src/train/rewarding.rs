//! What completions earn.

use std::path::Path;

use afterthought_rewards::{Completion, Log, Outcome, RewardConfig, Scored, WeightedRewards};
use serde_json::{Map, Value};

use super::prompts::Item;
use super::trainer::scalar;
use crate::console::Console;
use crate::exit::UsageError;

/// Judges completions.
pub(super) enum Rewarding {
    /// By the reward that d1 pays for problems of a task.
    OfTask,
    /// By the rewards of the recipe.
    Weighted(WeightedRewards),
}

/// What a batch earned.
pub(super) struct Earned {
    /// One a completion; none where no reward applies.
    pub(super) totals: Vec<Option<f64>>,
    /// The parts of each completion, by name.
    pub(super) parts: Vec<Map<String, Value>>,
    /// Numbers to log.
    pub(super) scalars: Vec<(String, f64)>,
}

impl Rewarding {
    /// The rewards of a recipe; without any, that of its task.
    ///
    /// # Errors
    /// A usage error that lists every problem of every reward; one for a program that is not there.
    pub(super) fn build(rewards: &[Value], log: &Log) -> anyhow::Result<Self> {
        if rewards.is_empty() {
            return Ok(Self::OfTask);
        }
        let (mut configs, mut problems) = (Vec::new(), Vec::new());
        for (index, value) in rewards.iter().enumerate() {
            match serde_json::from_value::<RewardConfig>(value.clone()) {
                Ok(config) => {
                    let found = config.problems().into_iter();
                    problems.extend(found.map(|problem| format!("rewards.{index}: {problem}")));
                    configs.push(config);
                }
                Err(error) => problems.push(format!("rewards.{index}: {error}")),
            }
        }
        if !problems.is_empty() {
            return Err(UsageError::new(problems.join("\n  ")).hint("see docs/rewards.md").into());
        }
        let rewards = WeightedRewards::build_with_log(&configs, Path::new("."), log);
        Ok(Self::Weighted(rewards.map_err(|error| {
            UsageError::caused_by("the rewards cannot be set up", error).hint("see docs/rewards.md")
        })?))
    }

    /// Asks each reward about an empty completion.
    ///
    /// # Errors
    /// One that cannot be asked. One that fails for this completion is a warning: it may be right to.
    pub(super) fn check(&mut self, item: &Item, console: &Console) -> anyhow::Result<()> {
        let Self::Weighted(rewards) = self else { return Ok(()) };
        let sample = Completion { id: 0, prompt: &item.text, text: "", columns: &item.columns };
        for checked in rewards.check(&sample) {
            match checked.outcome {
                Ok(Outcome::Failed(reason)) => console.warn(&format!(
                    "the reward {} fails for an empty completion: {reason}",
                    checked.name
                )),
                Ok(_) => {}
                Err(error) => {
                    let message = format!("the reward {} cannot be asked", checked.name);
                    return Err(anyhow::Error::new(error).context(message));
                }
            }
        }
        Ok(())
    }

    /// Judges a batch. `first_id` numbers its completions over the run.
    ///
    /// # Errors
    /// Those of the rewards.
    pub(super) fn score(
        &mut self,
        items: &[&Item],
        texts: &[String],
        first_id: u64,
    ) -> anyhow::Result<Earned> {
        match self {
            Self::OfTask => {
                let earned = items
                    .iter()
                    .zip(texts)
                    .map(|(item, text)| item.problem.as_ref().map(|problem| problem.reward(text)));
                Ok(Earned {
                    totals: earned.collect(),
                    parts: vec![Map::new(); texts.len()],
                    scalars: Vec::new(),
                })
            }
            Self::Weighted(rewards) => {
                let batch: Vec<Completion<'_>> = (items.iter().zip(texts).zip(first_id..))
                    .map(|((item, text), id)| Completion {
                        id,
                        prompt: &item.text,
                        text,
                        columns: &item.columns,
                    })
                    .collect();
                Ok(earned(rewards.score(&batch)?))
            }
        }
    }
}

fn earned(scored: Scored) -> Earned {
    let mut totals: Vec<Option<f64>> = scored.totals.into_iter().map(Some).collect();
    for index in scored.unrewarded {
        totals[index] = None;
    }
    let mut parts = vec![Map::new(); totals.len()];
    let mut scalars = Vec::new();
    for part in scored.parts {
        let known: Vec<f64> = part.values.iter().flatten().copied().collect();
        let count = known.len().max(1) as f64;
        let mean = known.iter().sum::<f64>() / count;
        let variance = known.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
        let name = &part.name;
        scalars.push(scalar(&format!("rewards/{name}/mean"), mean));
        scalars.push(scalar(&format!("rewards/{name}/std"), variance.sqrt()));
        for (what, number) in [
            ("failures", part.failures),
            ("not_applicable", part.not_applicable),
            ("undecided", part.undecided),
        ] {
            if number > 0 {
                scalars.push(scalar(&format!("rewards/{name}/{what}"), number as f64));
            }
        }
        for (own, value) in parts.iter_mut().zip(part.values) {
            own.insert(name.clone(), value.into());
        }
    }
    Earned { totals, parts, scalars }
}
