//! One diffu-GRPO step at the laptop recipe's settings, rollouts included.

use std::path::Path;

use afterthought_models::hub;
use afterthought_sampling::diffusion::{CommitRule, DiffusionParams};
use afterthought_tasks::{Grade, Problem, Profile, PromptStyle, TaskName};
use afterthought_text::Tokenizer;
use afterthought_training::estimator::{OnePass, Scope};
use afterthought_training::objective::{Kl, Normalisation, PolicyOptions};
use afterthought_training::{AdamW, Decay, DiffuGrpo, Learner, PromptFormat, Schedule};
use burn::tensor::Device;

use crate::inputs::Inputs;
use crate::shape::{BOS, EOS, MASK};
use crate::train::agreement;
use crate::worker::{object, serve};

/// A prompt whose reward is cheap and differs between completions, so that every group has a
/// spread whatever the model.
#[derive(Debug)]
struct Spread(String);

impl Problem for Spread {
    fn task(&self) -> TaskName {
        TaskName::Sudoku
    }

    fn prompt(&self, _: PromptStyle) -> String {
        self.0.clone()
    }

    fn grade(&self, completion: &str, _: Profile) -> Grade {
        let score = self.reward(completion);
        Grade {
            answer: None,
            verdict: afterthought_tasks::Outcome::Undecided,
            score,
            credit: afterthought_tasks::Credit { earned: score, possible: 1.0 },
        }
    }

    fn reward(&self, completion: &str) -> f64 {
        let sum: usize = completion.bytes().map(usize::from).sum();
        (sum % 97) as f64 / 97.0
    }

    fn question_and_gold(&self) -> (String, serde_json::Value) {
        (self.0.clone(), serde_json::Value::Null)
    }

    fn record(&self) -> serde_json::Value {
        serde_json::json!({ "prompt": self.0 })
    }
}

/// Serves steps.
pub(crate) fn run(model: &Path) -> anyhow::Result<()> {
    let inputs = Inputs::read(model)?;
    let rl = &inputs.rl;
    let reference = hub::load(model, &Device::flex())?;
    let ready = agreement(&reference, &inputs)?;
    let tokenizer = Tokenizer::from_file(model.join("tokenizer.json"))?;
    let problems = inputs
        .prompts
        .iter()
        // The beginning-of-sequence token is put back by the format.
        .map(|prompt| Ok(Spread(tokenizer.decode(&prompt[1..], false)?)))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let problems: Vec<&dyn Problem> = problems.iter().map(|problem| problem as _).collect();
    let format = PromptFormat {
        tokenizer,
        bos: Some(BOS),
        eos: EOS,
        style: PromptStyle::Compact,
        chat: None,
    };
    let mut sampling = DiffusionParams::new(rl.gen_length, MASK, EOS, EOS);
    sampling.block_length = inputs.block_length;
    let steps = rl.gen_length / inputs.tokens_per_step;
    sampling.commit = CommitRule::Schedule { steps };
    sampling.temperature = rl.temperature;
    let grpo = DiffuGrpo {
        // The whole window counts on both sides, so that they do the same work to the token.
        estimator: Box::new(OnePass { prompt_mask: rl.prompt_mask, scope: Scope::Window }),
        objective: PolicyOptions {
            clip: rl.clip,
            beta: rl.beta,
            kl: Kl::K3,
            normalisation: Normalisation::Token,
        },
        group_size: rl.group_size,
        inner_updates: rl.inner_updates,
        sampling,
        max_rows: 512,
        seed: 0,
    };
    let optimizer = AdamW {
        beta_1: 0.9,
        beta_2: 0.99,
        epsilon: 1e-8,
        weight_decay: rl.weight_decay,
        max_grad_norm: rl.max_grad_norm,
    };
    let schedule = Schedule { peak: rl.learning_rate, warmup: 0, total: 1, decay: Decay::Constant };
    let mut learner = Learner::new(reference.clone(), optimizer, schedule);
    let mut step = 0;
    serve(ready, || {
        let metrics = grpo.step(&mut learner, &reference, &problems, &format, step, &|| false)?;
        step += 1;
        Ok(object([
            ("units", metrics.rewards.len().into()),
            ("forward_tokens", metrics.rollout_tokens.into()),
            ("updates", metrics.updates.into()),
            ("frac_reward_zero_std", metrics.frac_reward_zero_std.into()),
        ]))
    })
}
