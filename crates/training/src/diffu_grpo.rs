//! diffu-GRPO (d1 section 3.2, algorithm 1): rollouts, group advantages, then `mu` inner updates
//! on the same rollouts, each with freshly masked prompts that policy, old policy and reference
//! all see.

use crate::estimator::{LogProbEstimator, MaskKey, Pass, log_probs};
use crate::objective::{PolicyLoss, PolicyOptions, TokenTerm, centred, policy_loss};
use crate::prompts::PromptFormat;
use crate::{Error, Learner};
use afterthought_models::Decoder;
use afterthought_sampling::PreparedDecoder;
use afterthought_sampling::diffusion::{CacheMode, DiffusionParams, Rollout, SampleKey};
use afterthought_tasks::Problem;

/// Settings of the loop around the objective.
pub struct DiffuGrpo {
    /// Lays out the log-probability passes.
    pub estimator: Box<dyn LogProbEstimator>,
    /// Clip range, KL weight and estimate, normalisation.
    pub objective: PolicyOptions,
    /// Completions a prompt.
    pub group_size: usize,
    /// `mu`, updates on the same rollouts.
    pub inner_updates: usize,
    /// How rollouts are decoded. A policy that will be used with a cache can learn with it: the one-pass
    /// estimate knows nothing of how a completion came about, and takes cached ones as well. Its ratios
    /// are of the policy as exact passes score it, and leave out that other keys wrote the completion.
    pub sampling: DiffusionParams,
    /// Rows a forward pass at most.
    pub max_rows: usize,
    /// Seed of rollouts and masks.
    pub seed: u64,
}

/// What one step saw and did. Field names follow TRL's metrics.
#[derive(Clone, Debug, PartialEq)]
pub struct GrpoMetrics {
    /// Mean reward of the rollouts.
    pub reward: f64,
    /// Rewards of all rollouts that have one, group by group.
    pub rewards: Vec<f64>,
    /// Standard deviation of the rewards.
    pub reward_std: f64,
    /// Share of groups whose completions all got the same reward; they are skipped.
    pub frac_reward_zero_std: f64,
    /// Tokens up to and including EOS, mean over completions.
    pub mean_length: f64,
    /// Share of completions without EOS.
    pub clipped_ratio: f64,
    /// Mean divergence from the reference over the inner updates, nats a token.
    pub kl: f64,
    /// Mean share of tokens whose clipped ratio decided.
    pub clip_fraction: f64,
    /// Loss of the last inner update.
    pub loss: f64,
    /// Gradient norm of the last inner update.
    pub grad_norm: f64,
    /// Forward passes of a rollout, mean over completions.
    pub model_calls: f64,
    /// Tokens that went through the model for rollouts.
    pub rollout_tokens: usize,
    /// Updates taken: 0 if every group was skipped.
    pub updates: usize,
}

impl DiffuGrpo {
    /// One rollout batch on `problems` and its inner updates. `step` keys all randomness.
    ///
    /// # Errors
    /// Those of [`Self::roll_out`] and [`Self::learn`].
    pub fn step(
        &self,
        learner: &mut Learner,
        reference: &Decoder,
        problems: &[&dyn Problem],
        format: &PromptFormat,
        step: u64,
        interrupt: &dyn Fn() -> bool,
    ) -> Result<GrpoMetrics, Error> {
        let prompts = problems
            .iter()
            .map(|problem| format.problem(*problem))
            .collect::<Result<Vec<_>, _>>()?;
        let rollouts = self.roll_out(learner.decoder(), &prompts, step, interrupt)?;
        let mut rewards = Vec::with_capacity(rollouts.len());
        for (rollout, problem) in rollouts.iter().zip(self.repeated(problems)) {
            rewards.push(Some(problem.reward(&format.completion(rollout)?)));
        }
        self.learn(learner, reference, &rollouts, rewards, format.eos, step)
    }

    /// Completions of `prompts`, [`Self::group_size`] of each, one prompt after the other. `step`
    /// keys all randomness.
    ///
    /// # Errors
    /// Those of decoding; [`Error::Setting`] for settings that the estimator does not allow for;
    /// [`Error::Empty`].
    pub fn roll_out(
        &self,
        decoder: &Decoder,
        prompts: &[Vec<u32>],
        step: u64,
        interrupt: &dyn Fn() -> bool,
    ) -> Result<Vec<Rollout>, Error> {
        self.check()?;
        if prompts.is_empty() {
            return Err(Error::Empty("prompts"));
        }
        let prompts: Vec<Vec<u32>> = (prompts.iter())
            .flat_map(|prompt| std::iter::repeat_n(prompt.clone(), self.group_size))
            .collect();
        let samples: Vec<u64> = (0..prompts.len() as u64).collect();
        let key = SampleKey { seed: self.seed, step, samples: &samples };
        let policy = PreparedDecoder::new(decoder, self.sampling.cache)?;
        Ok(policy.generate_with(&prompts, &self.sampling, key, &mut |_| {}, interrupt)?)
    }

    /// The inner updates on completions of [`Self::roll_out`] and what each earned; those without a
    /// reward are left out. `step` keys all randomness.
    ///
    /// # Errors
    /// Those of the model and of [`Learner::update`]; [`Error::NonFinite`] for a reward that is not
    /// a number; [`Error::Setting`] if there is not one reward a completion.
    pub fn learn(
        &self,
        learner: &mut Learner,
        reference: &Decoder,
        rollouts: &[Rollout],
        rewards: Vec<Option<f64>>,
        eos: u32,
        step: u64,
    ) -> Result<GrpoMetrics, Error> {
        self.check()?;
        if rewards.len() != rollouts.len() || !rollouts.len().is_multiple_of(self.group_size) {
            let problem = format!(
                "are {}, for {} completions in groups of {}",
                rewards.len(),
                rollouts.len(),
                self.group_size
            );
            return Err(Error::Setting { key: "rewards", problem });
        }
        if let Some(reward) = rewards.iter().flatten().find(|reward| !reward.is_finite()) {
            let step = learner.step();
            return Err(Error::NonFinite { what: "reward", value: *reward, step });
        }
        // Where there is no reward, the mean of the group's others stands in: it moves no baseline,
        // and the completion itself is not scored.
        let filled: Vec<f64> = rewards
            .chunks(self.group_size)
            .flat_map(|group| {
                let known: Vec<f64> = group.iter().flatten().copied().collect();
                let mean = known.iter().sum::<f64>() / known.len().max(1) as f64;
                group.iter().map(move |reward| reward.unwrap_or(mean))
            })
            .collect();
        let advantages = centred(&filled, self.group_size);
        // Only groups that carry a signal are scored, but those whole: a completion whose reward
        // happens to be the mean of its group still counts in the average and in the divergence.
        let spread = |group: &[f64]| group.iter().any(|advantage| *advantage != 0.0);
        let groups: Vec<bool> =
            advantages.values.chunks_exact(self.group_size).map(spread).collect();
        let kept: Vec<usize> = (0..rollouts.len())
            .filter(|index| groups[*index / self.group_size] && rewards[*index].is_some())
            .collect();
        let rewards: Vec<f64> = rewards.into_iter().flatten().collect();
        let inner = self.inner_updates_on(
            learner,
            reference,
            rollouts,
            &kept,
            &advantages.values,
            eos,
            step,
        )?;
        Ok(self.metrics(rollouts, rewards, &advantages, inner, eos))
    }

    /// Estimators score under the plain model with the mask excluded; guidance and bans would draw from
    /// another distribution. So do caches, which only trace replay minds.
    fn check(&self) -> Result<(), Error> {
        if self.group_size < 2 {
            let problem = format!("is {}, expected at least 2", self.group_size);
            return Err(Error::Setting { key: "group_size", problem });
        }
        if !self.objective.clip.is_finite() || self.objective.clip < 0.0 {
            let problem = format!("is {}, expected a number from 0", self.objective.clip);
            return Err(Error::Setting { key: "clip", problem });
        }
        if self.sampling.cfg_scale != 0.0 {
            let problem = format!("is {}; rollouts must not be guided", self.sampling.cfg_scale);
            return Err(Error::Setting { key: "cfg_scale", problem });
        }
        if self.sampling.cache != CacheMode::Exact && self.estimator.follows_trace() {
            let cache = self.sampling.cache;
            let problem = format!("is {cache}; trace replay needs rollouts that are exact");
            return Err(Error::Setting { key: "cache", problem });
        }
        if !self.sampling.suppress.is_empty() {
            let problem = "is not empty; rollouts must not ban tokens".into();
            return Err(Error::Setting { key: "suppress", problem });
        }
        Ok(())
    }

    fn repeated<'a>(
        &self,
        problems: &'a [&'a dyn Problem],
    ) -> impl Iterator<Item = &'a dyn Problem> + use<'a> {
        let group_size = self.group_size;
        problems.iter().flat_map(move |problem| std::iter::repeat_n(*problem, group_size))
    }

    /// The passes of every kept completion at one inner update, and the completion of each scored
    /// token.
    fn layout(
        &self,
        rollouts: &[Rollout],
        kept: &[usize],
        eos: u32,
        step: u64,
        inner: u64,
    ) -> (Vec<Pass>, Vec<usize>) {
        let (mut passes, mut owner) = (Vec::new(), Vec::new());
        for (slot, index) in kept.iter().enumerate() {
            let key = MaskKey { seed: self.seed, step, inner, sample: *index as u64 };
            for pass in self.estimator.passes(&rollouts[*index], eos, key) {
                owner.extend(std::iter::repeat_n(slot, pass.scored.len()));
                passes.push(pass);
            }
        }
        (passes, owner)
    }

    #[allow(clippy::too_many_arguments)]
    fn inner_updates_on(
        &self,
        learner: &mut Learner,
        reference: &Decoder,
        rollouts: &[Rollout],
        kept: &[usize],
        advantages: &[f64],
        eos: u32,
        step: u64,
    ) -> Result<Vec<(PolicyLoss, f64)>, Error> {
        if kept.is_empty() {
            return Ok(Vec::new());
        }
        let advantages: Vec<f64> = kept.iter().map(|index| advantages[*index]).collect();
        let mut prepared = Vec::with_capacity(self.inner_updates);
        for inner in 0..self.inner_updates as u64 {
            let (passes, owner) = self.layout(rollouts, kept, eos, step, inner);
            // Before the first update the policy is the old policy: its own values serve, and the
            // ratio is exactly 1.
            let old = match inner {
                0 => None,
                _ => Some(log_probs(learner.decoder(), &passes, self.max_rows)?),
            };
            let reference = match self.objective.beta {
                0.0 => None,
                _ => Some(log_probs(reference, &passes, self.max_rows)?),
            };
            prepared.push((passes, owner, old, reference));
        }
        let mut results = Vec::with_capacity(prepared.len());
        for (passes, owner, old, reference) in prepared {
            let (update, loss) = learner.update(&passes, self.max_rows, |values| {
                let old = old.as_deref().unwrap_or(values);
                let reference = reference.as_deref().unwrap_or(values);
                let terms: Vec<TokenTerm> = (0..values.len())
                    .map(|i| TokenTerm {
                        completion: owner[i],
                        log_prob: f64::from(values[i]),
                        old: f64::from(old[i]),
                        reference: f64::from(reference[i]),
                    })
                    .collect();
                let loss = policy_loss(&terms, &advantages, &self.objective);
                (loss.loss, loss.coefficients.clone(), loss)
            })?;
            results.push((loss, update.grad_norm));
        }
        Ok(results)
    }

    fn metrics(
        &self,
        rollouts: &[Rollout],
        rewards: Vec<f64>,
        advantages: &crate::objective::Advantages,
        inner: Vec<(PolicyLoss, f64)>,
        eos: u32,
    ) -> GrpoMetrics {
        let count = rollouts.len() as f64;
        let mean = |values: &mut dyn Iterator<Item = f64>| values.sum::<f64>() / count;
        let rewarded = rewards.len().max(1) as f64;
        let reward = rewards.iter().sum::<f64>() / rewarded;
        let variance = rewards.iter().map(|r| (r - reward).powi(2)).sum::<f64>() / rewarded;
        let updates = inner.len();
        let over_updates = |value: &dyn Fn(&PolicyLoss) -> f64| {
            inner.iter().map(|(loss, _)| value(loss)).fold(0.0, |sum, v| sum + v)
                / updates.max(1) as f64
        };
        GrpoMetrics {
            reward,
            reward_std: variance.sqrt(),
            frac_reward_zero_std: advantages.groups_without_spread as f64
                / advantages.groups as f64,
            mean_length: mean(&mut rollouts.iter().map(|r| r.completion_len_to_eos(eos) as f64)),
            clipped_ratio: mean(
                &mut rollouts.iter().map(|r| f64::from(u8::from(!r.completion.contains(&eos)))),
            ),
            kl: over_updates(&|loss| loss.kl),
            clip_fraction: over_updates(&|loss| loss.clip_fraction),
            loss: inner.last().map_or(0.0, |(loss, _)| loss.loss),
            grad_norm: inner.last().map_or(0.0, |(_, norm)| *norm),
            model_calls: mean(&mut rollouts.iter().map(|r| r.model_calls as f64)),
            rollout_tokens: rollouts.iter().map(|r| r.forward_tokens).sum(),
            updates,
            rewards,
        }
    }
}
