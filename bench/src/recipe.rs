//! What the cases take from the laptop recipe, so that they follow it when it changes.

use afterthought_training::objective::MdlmOptions;
use serde::{Deserialize, Serialize};

/// The parts of recipes/d1/laptop.toml that are measured.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Recipe {
    pub(crate) model: Model,
    pub(crate) corpus: Corpus,
    pub(crate) sudoku: Sudoku,
    pub(crate) countdown: Countdown,
    pub(crate) loss: MdlmOptions,
    pub(crate) pretrain: Pretrain,
    pub(crate) rl: Rl,
    pub(crate) decoding: Decoding,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Model {
    pub(crate) hidden_size: usize,
    pub(crate) intermediate_size: usize,
    pub(crate) layers: usize,
    pub(crate) heads: usize,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Corpus {
    pub(crate) windows: Vec<usize>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Sudoku {
    pub(crate) empties: usize,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Countdown {
    pub(crate) targets: [u64; 2],
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Pretrain {
    pub(crate) sudoku_share: f64,
    pub(crate) batch: usize,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Rl {
    pub(crate) prompts: usize,
    pub(crate) group_size: usize,
    pub(crate) inner_updates: usize,
    pub(crate) learning_rate: f64,
    pub(crate) weight_decay: f64,
    pub(crate) max_grad_norm: f64,
    pub(crate) clip: f64,
    pub(crate) beta: f64,
    pub(crate) prompt_mask: f64,
    pub(crate) gen_length: usize,
    pub(crate) temperature: f64,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Decoding {
    pub(crate) block_length: usize,
    pub(crate) tokens_per_step: usize,
}

impl Recipe {
    /// The recipe as checked in.
    pub(crate) fn laptop() -> anyhow::Result<Self> {
        Ok(toml::from_str(include_str!("../../recipes/d1/laptop.toml"))?)
    }
}
