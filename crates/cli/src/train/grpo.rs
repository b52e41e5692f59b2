//! `method = "diffu-grpo"`.

use afterthought_models::Decoder;
use afterthought_recipes::train::{Rl, Sampling};
use afterthought_runs::log::Completion;
use afterthought_sampling::PreparedDecoder;
use afterthought_sampling::diffusion::{
    CacheMode, CommitRule, DiffusionParams, Remasking, Rollout, SampleKey,
};
use afterthought_training::estimator::{LogProbEstimator, OnePass, TraceReplay};
use afterthought_training::objective::PolicyOptions;
use afterthought_training::{DiffuGrpo, Learner, PromptFormat};
use serde_json::{Value, json};

use super::order::Order;
use super::prompts::Item;
use super::rewarding::Rewarding;
use super::trainer::{Measured, Step, Trainer, scalar};

/// diffu-GRPO on prompts.
pub(super) struct Grpo {
    pub(super) grpo: DiffuGrpo,
    /// The model that training started from.
    pub(super) reference: Decoder,
    pub(super) items: Vec<Item>,
    pub(super) validation: Vec<Item>,
    pub(super) order: Order,
    pub(super) format: PromptFormat,
    pub(super) rewarding: Rewarding,
}

/// The objective and the estimator of a recipe.
pub(super) fn settings(rl: &Rl) -> anyhow::Result<(PolicyOptions, Box<dyn LogProbEstimator>)> {
    let options = PolicyOptions {
        clip: rl.clip,
        beta: rl.beta,
        kl: serde_json::from_value(rl.kl.clone())?,
        normalisation: serde_json::from_value(rl.normalisation.clone())?,
    };
    let (prompt_mask, scope) = (rl.prompt_mask, serde_json::from_value(rl.scope.clone())?);
    let estimator: Box<dyn LogProbEstimator> = match rl.estimator.as_str() {
        "trace_replay" => Box::new(TraceReplay { segments: rl.segments, prompt_mask, scope }),
        _ => Box::new(OnePass { prompt_mask, scope }),
    };
    Ok((options, estimator))
}

/// How completions are decoded; `ids`: mask, end of sequence, padding.
pub(super) fn decoding(sampling: &Sampling, ids: [u32; 3], rows: usize) -> DiffusionParams {
    let [mask, eos, pad] = ids;
    DiffusionParams {
        block_length: sampling.block_length,
        commit: match sampling.threshold {
            Some(threshold) => CommitRule::Threshold(threshold as f32),
            None => CommitRule::Schedule { steps: sampling.gen_length / sampling.tokens_at_once() },
        },
        cache: match sampling.cache.as_str() {
            "prefix" => CacheMode::PrefixCache,
            "dual" => CacheMode::DualCache,
            _ => CacheMode::Exact,
        },
        cache_refresh: sampling.cache_refresh,
        cache_ahead: sampling.cache_ahead,
        temperature: sampling.temperature,
        remasking: match sampling.remasking.as_str() {
            "random" => Remasking::Random,
            _ => Remasking::LowConfidence,
        },
        stop_after_eos: true,
        max_rows: rows,
        ..DiffusionParams::new(sampling.gen_length, mask, eos, pad)
    }
}

impl Grpo {
    fn texts(&self, rollouts: &[Rollout]) -> anyhow::Result<Vec<String>> {
        Ok(rollouts.iter().map(|r| self.format.completion(r)).collect::<Result<_, _>>()?)
    }
}

impl Trainer for Grpo {
    fn step(
        &mut self,
        learner: &mut Learner,
        step: u64,
        stop: &dyn Fn() -> bool,
    ) -> anyhow::Result<Step> {
        let group = self.grpo.group_size;
        let chosen = self.order.of(step);
        let prompts: Vec<Vec<u32>> = chosen.iter().map(|at| self.items[*at].ids.clone()).collect();
        let rollouts = self.grpo.roll_out(learner.decoder(), &prompts, step, stop)?;
        let texts = self.texts(&rollouts)?;
        let items: Vec<&Item> =
            (chosen.iter()).flat_map(|at| std::iter::repeat_n(&self.items[*at], group)).collect();
        let first_id = step * rollouts.len() as u64;
        let earned = self.rewarding.score(&items, &texts, first_id)?;
        let totals = earned.totals.clone();
        let eos = self.format.eos;
        let seen =
            self.grpo.learn(learner, &self.reference, &rollouts, earned.totals, eos, step)?;
        let unrewarded = totals.iter().filter(|total| total.is_none()).count();
        let mut scalars = vec![
            scalar("reward", seen.reward),
            scalar("reward_std", seen.reward_std),
            scalar("frac_reward_zero_std", seen.frac_reward_zero_std),
            scalar("loss", seen.loss),
            scalar("kl", seen.kl),
            scalar("clip_ratio", seen.clip_fraction),
            scalar("grad_norm", seen.grad_norm),
            scalar("completions/mean_length", seen.mean_length),
            scalar("completions/clipped_ratio", seen.clipped_ratio),
            scalar("model_calls", seen.model_calls),
            scalar("updates", seen.updates as f64),
        ];
        scalars.extend(earned.scalars);
        if unrewarded > 0 {
            scalars.push(scalar("completions/unrewarded", unrewarded as f64));
        }
        let completions = (texts.into_iter().zip(items).zip(totals).zip(earned.parts))
            .map(|(((completion, item), reward), parts)| Completion {
                prompt: item.text.clone(),
                completion,
                reward,
                parts,
                ..Completion::default()
            })
            .collect();
        Ok(Step { scalars, tokens: seen.rollout_tokens as u64, completions })
    }

    fn validate(&mut self, decoder: &Decoder, stop: &dyn Fn() -> bool) -> anyhow::Result<Measured> {
        let sampling = DiffusionParams { temperature: 0.0, ..self.grpo.sampling.clone() };
        let prompts: Vec<Vec<u32>> = self.validation.iter().map(|item| item.ids.clone()).collect();
        let samples: Vec<u64> = (0..prompts.len() as u64).collect();
        let key = SampleKey { seed: self.grpo.seed, step: u64::MAX, samples: &samples };
        let model = PreparedDecoder::new(decoder, sampling.cache)?;
        let rollouts = model.generate_with(&prompts, &sampling, key, &mut |_| {}, stop)?;
        let texts = self.texts(&rollouts)?;
        let items: Vec<&Item> = self.validation.iter().collect();
        let earned = self.rewarding.score(&items, &texts, 0)?;
        let known: Vec<f64> = earned.totals.iter().flatten().copied().collect();
        anyhow::ensure!(!known.is_empty(), "no reward applies to any validation prompt");
        let count = known.len() as f64;
        let reward = known.iter().sum::<f64>() / count;
        let variance = known.iter().map(|r| (r - reward).powi(2)).sum::<f64>() / count;
        let mut scalars = vec![
            scalar("eval_reward", reward),
            scalar("eval_reward_std_error", (variance / count).sqrt()),
        ];
        let parts = earned.scalars.into_iter().map(|(name, value)| (format!("eval_{name}"), value));
        scalars.extend(parts);
        Ok(Measured { metric: reward, scalars })
    }

    fn batch(&self, step: u64) -> Value {
        let prompts: Vec<Value> = (self.order.of(step).into_iter())
            .map(|at| json!({"prompt": self.items[at].text, "ids": self.items[at].ids}))
            .collect();
        json!({"prompts": prompts})
    }
}
