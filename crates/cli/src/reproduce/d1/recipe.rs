//! The settings of the experiment: `recipes/d1/*.toml`.

use crate::args::RunPreset;
use afterthought_training::estimator::{LogProbEstimator, OnePass, Scope, TraceReplay};
use afterthought_training::objective::{Kl, MdlmOptions, Normalisation, PolicyOptions};
use afterthought_training::{AdamW, Decay, Schedule};
use anyhow::Context;
use serde::{Deserialize, Serialize};

/// All settings of one run.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Recipe {
    pub(crate) model: Model,
    pub(crate) corpus: Corpus,
    pub(crate) sudoku: Sudoku,
    pub(crate) countdown: Countdown,
    pub(crate) loss: MdlmOptions,
    pub(crate) pretrain: Pretrain,
    pub(crate) sft: Sft,
    pub(crate) rl: Rl,
    pub(crate) decoding: Decoding,
    pub(crate) evaluation: Evaluation,
    pub(crate) ablations: Ablations,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Model {
    pub(crate) hidden_size: usize,
    pub(crate) intermediate_size: usize,
    pub(crate) layers: usize,
    pub(crate) heads: usize,
    pub(crate) qk_norm: bool,
    pub(crate) initializer_range: f64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Corpus {
    pub(crate) windows: Vec<usize>,
    pub(crate) sudoku: Habits,
    pub(crate) countdown: Habits,
}

/// Shares of the corpus's writers.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Habits {
    pub(crate) methodical: f64,
    pub(crate) casual: f64,
    pub(crate) hasty: f64,
    pub(crate) formless: f64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sudoku {
    pub(crate) empties: usize,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Countdown {
    pub(crate) targets: [u64; 2],
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pretrain {
    pub(crate) sudoku_share: f64,
    pub(crate) steps: usize,
    pub(crate) batch: usize,
    pub(crate) learning_rate: f64,
    pub(crate) warmup: usize,
    pub(crate) weight_decay: f64,
    pub(crate) max_grad_norm: f64,
    pub(crate) first_look: usize,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sft {
    pub(crate) traces: usize,
    pub(crate) methodical: f64,
    pub(crate) correction: f64,
    pub(crate) window: usize,
    pub(crate) steps: usize,
    pub(crate) batch: usize,
    pub(crate) learning_rate: f64,
    pub(crate) warmup: usize,
    pub(crate) weight_decay: f64,
    pub(crate) max_grad_norm: f64,
}

/// Which estimator of the log-probability of a completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum EstimatorName {
    /// One pass over a fully masked completion (d1).
    OnePass,
    /// The decoding trace in segments (d2's StepMerge).
    TraceReplay,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rl {
    pub(crate) steps: usize,
    pub(crate) prompts: usize,
    pub(crate) group_size: usize,
    pub(crate) inner_updates: usize,
    pub(crate) learning_rate: f64,
    pub(crate) weight_decay: f64,
    pub(crate) max_grad_norm: f64,
    pub(crate) clip: f64,
    pub(crate) beta: f64,
    pub(crate) kl: Kl,
    pub(crate) normalisation: Normalisation,
    pub(crate) estimator: EstimatorName,
    pub(crate) segments: usize,
    pub(crate) prompt_mask: f64,
    pub(crate) scope: Scope,
    pub(crate) gen_length: usize,
    pub(crate) tokens_per_step: usize,
    pub(crate) temperature: f64,
    pub(crate) validate_every: usize,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Decoding {
    pub(crate) block_length: usize,
    pub(crate) tokens_per_step: usize,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Evaluation {
    pub(crate) lengths: Vec<usize>,
    pub(crate) test_problems: usize,
    pub(crate) validation_problems: usize,
    pub(crate) samples: usize,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ablations {
    pub(crate) prompt_masks: Vec<f64>,
    pub(crate) prompt_mask_inner_updates: usize,
    pub(crate) inner_updates: Vec<usize>,
    pub(crate) seconds: f64,
    pub(crate) validate_every: usize,
}

impl Recipe {
    /// The recipe of a preset, as checked in.
    pub(crate) fn preset(preset: RunPreset) -> anyhow::Result<Self> {
        let (name, text) = match preset {
            RunPreset::Laptop => ("laptop", include_str!("../../../../../recipes/d1/laptop.toml")),
            RunPreset::Smoke => ("smoke", include_str!("../../../../../recipes/d1/smoke.toml")),
        };
        toml::from_str(text).with_context(|| format!("recipes/d1/{name}.toml"))
    }
}

/// AdamW as all stages use it; only decay and clipping differ.
pub(crate) fn adamw(weight_decay: f64, max_grad_norm: f64) -> AdamW {
    AdamW { beta_1: 0.9, beta_2: 0.99, epsilon: 1e-8, weight_decay, max_grad_norm }
}

impl Pretrain {
    pub(crate) fn schedule(&self) -> Schedule {
        let (peak, warmup, total) = (self.learning_rate, self.warmup, self.steps);
        Schedule { peak, warmup, total, decay: Decay::Cosine }
    }
}

impl Sft {
    pub(crate) fn schedule(&self) -> Schedule {
        let (peak, warmup, total) = (self.learning_rate, self.warmup, self.steps);
        Schedule { peak, warmup, total, decay: Decay::Linear }
    }
}

impl Rl {
    pub(crate) fn schedule(&self) -> Schedule {
        let total = self.steps * self.inner_updates;
        Schedule { peak: self.learning_rate, warmup: 0, total, decay: Decay::Constant }
    }

    pub(crate) fn objective(&self) -> PolicyOptions {
        PolicyOptions {
            clip: self.clip,
            beta: self.beta,
            kl: self.kl,
            normalisation: self.normalisation,
        }
    }

    pub(crate) fn estimator(&self) -> Box<dyn LogProbEstimator> {
        let (prompt_mask, scope) = (self.prompt_mask, self.scope);
        match self.estimator {
            EstimatorName::OnePass => Box::new(OnePass { prompt_mask, scope }),
            EstimatorName::TraceReplay => {
                Box::new(TraceReplay { segments: self.segments, prompt_mask, scope })
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_checked_in_recipes_are_valid() {
        for preset in [RunPreset::Laptop, RunPreset::Smoke] {
            let recipe = Recipe::preset(preset).unwrap();
            assert!(recipe.evaluation.lengths.contains(&recipe.rl.gen_length));
            for shares in [recipe.corpus.sudoku, recipe.corpus.countdown] {
                let sum = shares.methodical + shares.casual + shares.hasty + shares.formless;
                assert!((sum - 1.0).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn an_unknown_key_is_an_error() {
        let text = include_str!("../../../../../recipes/d1/smoke.toml");
        let wrong = text.replace("group_size", "group_sise");
        let error = toml::from_str::<Recipe>(&wrong).unwrap_err().to_string();
        assert!(error.contains("group_sise"), "{error}");
    }
}
