//! `inputs.json`: what both sides of a case work on.

use std::fs;
use std::path::Path;

use afterthought_training::estimator::{Pass, Scored};
use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::recipe::Rl;

/// A batch of canvases and what is predicted in it: the loss is
/// `-sum_i weight[i] log p(target[i])`.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct TrainBatch {
    /// Token ids, not padded.
    pub(crate) rows: Vec<Vec<u32>>,
    /// Row of each prediction, ascending.
    pub(crate) row: Vec<usize>,
    /// Column of each prediction, ascending in its row.
    pub(crate) column: Vec<usize>,
    /// Token of each prediction.
    pub(crate) target: Vec<u32>,
    /// Weight of each prediction.
    pub(crate) weight: Vec<f32>,
}

/// Everything that the cases of one model work on.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Inputs {
    /// Batches of a training step, used in turn; the first is also where both sides compare
    /// their losses.
    pub(crate) batches: Vec<TrainBatch>,
    /// Prompts of decoding and reinforcement learning.
    pub(crate) prompts: Vec<Vec<u32>>,
    /// Settings of reinforcement learning.
    pub(crate) rl: Rl,
    /// Tokens of a block in rollouts.
    pub(crate) block_length: usize,
    /// Tokens committed a denoising step in rollouts.
    pub(crate) tokens_per_step: usize,
}

const NAME: &str = "inputs.json";

impl Inputs {
    pub(crate) fn read(directory: &Path) -> anyhow::Result<Self> {
        let path = directory.join(NAME);
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(serde_json::from_str(&text)?)
    }

    pub(crate) fn write(&self, directory: &Path) -> anyhow::Result<()> {
        let path = directory.join(NAME);
        fs::write(&path, serde_json::to_string(self)?)
            .with_context(|| format!("cannot write {}", path.display()))
    }
}

impl TrainBatch {
    /// The batch as passes, in the order of the predictions.
    pub(crate) fn passes(&self) -> Vec<Pass> {
        let empty = |canvas: &Vec<u32>| Pass { canvas: canvas.clone(), scored: Vec::new() };
        let mut passes: Vec<Pass> = self.rows.iter().map(empty).collect();
        for ((row, column), token) in self.row.iter().zip(&self.column).zip(&self.target) {
            passes[*row].scored.push(Scored { column: *column, token: *token });
        }
        passes
    }

    /// Tokens that go through the model.
    pub(crate) fn tokens(&self) -> usize {
        self.rows.iter().map(Vec::len).sum()
    }
}
