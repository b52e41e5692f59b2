//! `method = "mdlm"`.

use afterthought_models::Decoder;
use afterthought_recipes::train::Loss;
use afterthought_training::objective::{BlockMasks, Example, MdlmOptions};
use afterthought_training::{Learner, supervised_loss, supervised_step};
use serde_json::{Value, json};

use super::order::Order;
use super::trainer::{Measured, Step, Trainer, scalar};

/// Supervised fine-tuning of a masked-diffusion model.
pub(super) struct Mdlm {
    pub(super) examples: Vec<Example>,
    pub(super) validation: Vec<Example>,
    pub(super) options: MdlmOptions,
    /// Positions that completions are padded to; as many as the longest of the batch has, if none.
    pub(super) window: Option<usize>,
    /// Mask token and end-of-sequence token.
    pub(super) ids: [u32; 2],
    pub(super) order: Order,
    pub(super) rows_at_once: usize,
}

/// The loss of a recipe.
pub(super) fn options(loss: &Loss) -> anyhow::Result<MdlmOptions> {
    Ok(MdlmOptions {
        time_weight: serde_json::from_value(loss.time_weight.clone())?,
        normalisation: serde_json::from_value(loss.normalisation.clone())?,
        noise: serde_json::from_value(loss.noise.clone())?,
        block_masks: (loss.block_share > 0.0)
            .then_some(BlockMasks { share: loss.block_share, block_length: loss.block_length }),
    })
}

impl Mdlm {
    /// Examples padded to one window.
    fn padded(&self, examples: impl Iterator<Item = Example>) -> Vec<Example> {
        let mut examples: Vec<Example> = examples.collect();
        let longest = examples.iter().map(|example| example.completion.len()).max().unwrap_or(0);
        for example in &mut examples {
            example.window = self.window.unwrap_or(longest);
        }
        examples
    }

    fn examples(&self, step: u64) -> Vec<Example> {
        self.padded(self.order.of(step).into_iter().map(|row| self.examples[row].clone()))
    }
}

impl Trainer for Mdlm {
    fn step(
        &mut self,
        learner: &mut Learner,
        step: u64,
        _: &dyn Fn() -> bool,
    ) -> anyhow::Result<Step> {
        let examples = self.examples(step);
        let references: Vec<&Example> = examples.iter().collect();
        let (ids, key) = (self.ids, [self.order.seed, step]);
        let update =
            supervised_step(learner, &references, &self.options, ids, key, self.rows_at_once)?;
        let tokens = examples.iter().map(|example| (example.prompt.len() + example.window) as u64);
        Ok(Step::supervised(update, tokens.sum()))
    }

    fn validate(&mut self, decoder: &Decoder, stop: &dyn Fn() -> bool) -> anyhow::Result<Measured> {
        let (mut sum, mut count) = (0.0, 0usize);
        for (part, examples) in self.validation.chunks(self.rows_at_once).enumerate() {
            if stop() {
                anyhow::bail!("stopped during validation");
            }
            let examples = self.padded(examples.iter().cloned());
            let references: Vec<&Example> = examples.iter().collect();
            // Masks of their own for each part.
            let seed = self.order.seed.wrapping_add(part as u64);
            let (options, ids) = (&self.options, self.ids);
            let loss =
                supervised_loss(decoder, &references, options, ids, seed, self.rows_at_once)?;
            sum += loss * examples.len() as f64;
            count += examples.len();
        }
        let loss = sum / count.max(1) as f64;
        Ok(Measured { metric: -loss, scalars: vec![scalar("eval_loss", loss)] })
    }

    fn batch(&self, step: u64) -> Value {
        let rows = self.order.of(step).into_iter().map(|row| {
            let Example { prompt, completion, .. } = &self.examples[row];
            json!({"row": row, "prompt": prompt, "completion": completion})
        });
        json!({"rows": rows.collect::<Vec<_>>()})
    }
}
