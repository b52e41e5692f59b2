use std::collections::HashSet;
use std::path::Path;

use crate::protocol::check_ids;
use crate::{Checked, Completion, Error, Log, OnFailure, Outcome, Reward, RewardConfig, check};

/// One term of the sum.
pub struct WeightedReward {
    /// What is weighed.
    pub reward: Box<dyn Reward>,
    /// Its factor: finite. With 0 the reward is measured and not paid.
    pub weight: f64,
    /// What to do about completions it fails for.
    pub on_failure: OnFailure,
}

/// The weighted sum of several rewards.
pub struct WeightedRewards {
    parts: Vec<WeightedReward>,
    allow_unrewarded: bool,
}

/// What a batch is worth.
#[derive(Clone, Debug, PartialEq)]
pub struct Scored {
    /// For each completion, in the order of the batch: the sum of weight times value over the parts
    /// that apply.
    pub totals: Vec<f64>,
    /// Positions in the batch of completions to which no part applied. Their total is 0 and says
    /// nothing; a trainer leaves them out.
    pub unrewarded: Vec<usize>,
    /// Each reward by itself.
    pub parts: Vec<Part>,
}

/// What one reward said about a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// The reward's name.
    pub name: String,
    /// For each completion, in the order of the batch: its value before weighing; `None` where the
    /// reward does not apply, or failed and is skipped.
    pub values: Vec<Option<f64>>,
    /// Completions it failed for, whatever was made of that.
    pub failures: usize,
    /// Completions it has nothing to say about.
    pub not_applicable: usize,
    /// Completions whose grader could not decide.
    pub undecided: usize,
    /// Why it failed for the first completion it failed for.
    pub first_failure: Option<String>,
}

impl WeightedRewards {
    /// The rewards of a recipe; relative paths start from `directory`.
    ///
    /// # Errors
    /// [`Error::NoRewards`], [`Error::SameName`], and those of [`RewardConfig::build`].
    pub fn build(configs: &[RewardConfig], directory: &Path) -> Result<Self, Error> {
        Self::build_with_log(configs, directory, &Log::silent())
    }

    /// As [`build`](Self::build), with a place for what external processes write to stderr.
    ///
    /// # Errors
    /// As [`build`](Self::build).
    pub fn build_with_log(
        configs: &[RewardConfig],
        directory: &Path,
        log: &Log,
    ) -> Result<Self, Error> {
        let build = |config: &RewardConfig| {
            Ok(WeightedReward {
                reward: config.build_with_log(directory, log)?,
                weight: config.weight(),
                on_failure: config.on_failure(),
            })
        };
        Self::new(configs.iter().map(build).collect::<Result<_, Error>>()?)
    }

    /// A sum of these parts.
    ///
    /// # Errors
    /// [`Error::NoRewards`] without any, [`Error::SameName`] where two have the same name.
    pub fn new(parts: Vec<WeightedReward>) -> Result<Self, Error> {
        if parts.is_empty() {
            return Err(Error::NoRewards);
        }
        let mut names = HashSet::new();
        for part in &parts {
            if !names.insert(part.reward.name()) {
                return Err(Error::SameName { name: part.reward.name().to_owned() });
            }
        }
        Ok(Self { parts, allow_unrewarded: false })
    }

    /// Whether a completion to which every part says [`Outcome::NotApplicable`] is listed in
    /// [`Scored::unrewarded`] instead of being an error. Completions that have no reward because of
    /// [`OnFailure::Skip`] are listed there in any case.
    pub fn allow_unrewarded(mut self, allow: bool) -> Self {
        self.allow_unrewarded = allow;
        self
    }

    /// The names of the parts, in their order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().map(|part| part.reward.name())
    }

    /// Calls every reward for the whole batch.
    ///
    /// # Errors
    /// A reward cannot work at all; one fails and its failures are errors; no part applies to a
    /// completion and that is not allowed; a sum is not finite; two ids are equal.
    pub fn score(&mut self, batch: &[Completion<'_>]) -> Result<Scored, Error> {
        check_ids(batch)?;
        let mut scored = Scored { totals: Vec::new(), unrewarded: Vec::new(), parts: Vec::new() };
        let mut skipped = HashSet::new();
        for part in &mut self.parts {
            scored.parts.push(part.score(batch, &mut skipped)?);
        }
        for (index, completion) in batch.iter().enumerate() {
            let weights = self.parts.iter().map(|part| part.weight);
            let values = scored.parts.iter().map(|part| part.values[index]);
            let terms = weights.zip(values).filter_map(|(weight, value)| Some(weight * value?));
            let total = terms.fold(None, |sum, term| Some(sum.unwrap_or(0.0) + term));
            match total {
                Some(total) if !f64::is_finite(total) => {
                    return Err(Error::Total { id: completion.id, total });
                }
                Some(total) => scored.totals.push(total),
                None => {
                    if !skipped.contains(&index) && !self.allow_unrewarded {
                        let rewards = self.names().map(str::to_owned).collect();
                        return Err(Error::NoneApplies { id: completion.id, rewards });
                    }
                    scored.totals.push(0.0);
                    scored.unrewarded.push(index);
                }
            }
        }
        Ok(scored)
    }

    /// Calls each reward once for one completion, as a dry run does.
    pub fn check(&mut self, completion: &Completion<'_>) -> Vec<Checked> {
        self.parts.iter_mut().map(|part| check(part.reward.as_mut(), completion)).collect()
    }
}

impl WeightedReward {
    /// Adds to `skipped` the positions of completions that it fails for and that are to be skipped.
    fn score(
        &mut self,
        batch: &[Completion<'_>],
        skipped: &mut HashSet<usize>,
    ) -> Result<Part, Error> {
        let name = self.reward.name().to_owned();
        let outcomes = self.reward.score(batch)?;
        if outcomes.len() != batch.len() {
            let (expected, found) = (batch.len(), outcomes.len());
            return Err(Error::Count { reward: name, expected, found });
        }
        let mut part = Part {
            name,
            values: Vec::with_capacity(batch.len()),
            failures: 0,
            not_applicable: 0,
            undecided: 0,
            first_failure: None,
        };
        let mut failed = Vec::new();
        for (completion, outcome) in batch.iter().zip(outcomes) {
            let value = match outcome.checked() {
                Outcome::Value(value) => Some(value),
                Outcome::Undecided(value) => {
                    part.undecided += 1;
                    Some(value)
                }
                Outcome::NotApplicable => {
                    part.not_applicable += 1;
                    None
                }
                Outcome::Failed(reason) => {
                    failed.push((completion.id, reason));
                    match self.on_failure {
                        OnFailure::Zero => Some(0.0),
                        OnFailure::Skip => {
                            skipped.insert(part.values.len());
                            None
                        }
                        OnFailure::Error => None,
                    }
                }
            };
            part.values.push(value);
        }
        part.failures = failed.len();
        match failed.into_iter().next() {
            Some((id, reason)) if self.on_failure == OnFailure::Error => Err(Error::Failed {
                reward: part.name,
                id,
                failed: part.failures,
                total: batch.len(),
                reason,
            }),
            first => {
                part.first_failure = first.map(|(_, reason)| reason);
                Ok(part)
            }
        }
    }
}
