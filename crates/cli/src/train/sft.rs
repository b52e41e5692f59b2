//! `method = "sft"`.

use afterthought_models::Decoder;
use afterthought_training::objective::Normalisation;
use afterthought_training::{Learner, Row, causal_loss, causal_step};
use serde_json::{Value, json};

use super::order::Order;
use super::trainer::{Measured, Step, Trainer, scalar};

/// Supervised fine-tuning of a causal model.
pub(super) struct Sft {
    pub(super) rows: Vec<Row>,
    pub(super) validation: Vec<Row>,
    pub(super) order: Order,
    pub(super) rows_at_once: usize,
}

impl Trainer for Sft {
    fn step(
        &mut self,
        learner: &mut Learner,
        step: u64,
        _: &dyn Fn() -> bool,
    ) -> anyhow::Result<Step> {
        let rows: Vec<&Row> = self.order.of(step).into_iter().map(|row| &self.rows[row]).collect();
        let update = causal_step(learner, &rows, Normalisation::Token, self.rows_at_once)?;
        Ok(Step::supervised(update, rows.iter().map(|row| row.ids.len() as u64).sum()))
    }

    fn validate(&mut self, decoder: &Decoder, stop: &dyn Fn() -> bool) -> anyhow::Result<Measured> {
        let (mut sum, mut count) = (0.0, 0usize);
        for rows in self.validation.chunks(self.rows_at_once) {
            if stop() {
                anyhow::bail!("stopped during validation");
            }
            let rows: Vec<&Row> = rows.iter().collect();
            let tokens: usize = rows.iter().map(|row| row.trained()).sum();
            sum += causal_loss(decoder, &rows, self.rows_at_once)? * tokens as f64;
            count += tokens;
        }
        let loss = sum / count.max(1) as f64;
        Ok(Measured { metric: -loss, scalars: vec![scalar("eval_loss", loss)] })
    }

    fn batch(&self, step: u64) -> Value {
        let rows = self.order.of(step).into_iter();
        json!({"rows": rows.map(|row| json!({"row": row, "ids": self.rows[row].ids})).collect::<Vec<_>>()})
    }
}
