//! Makes a model with random weights and the inputs of its cases.

use std::path::Path;

use afterthought_models::{Decoder, hub};
use afterthought_random::Stream;
use afterthought_tasks::sudoku;
use afterthought_tasks::writers::{CountdownWriter, Habit, Part, SudokuWriter, Writer};
use afterthought_text::Tokenizer;
use afterthought_training::objective::{Example, mask_batch};
use anyhow::Context;
use burn::tensor::Device;

use crate::inputs::{Inputs, TrainBatch};
use crate::recipe::Recipe;
use crate::shape::{BOS, EOS, MASK, Shape};

/// Batches that a training case works through in turn.
const BATCHES: u64 = 4;
/// Tokens a row of the causal cases.
const CONTEXT: usize = 256;
/// Tokens of the prompt of autoregressive decoding.
const PROMPT: usize = 128;
/// Rows and prompt length of diffusion decoding at 5 M.
const DECODING: (usize, usize) = (16, 64);

/// Writes `out`.
pub(crate) fn run(shape: Shape, out: &Path) -> anyhow::Result<()> {
    let (recipe, tokenizer) = (Recipe::laptop()?, shape.tokenizer()?);
    let decoder = Decoder::random(shape.config()?, 0, &Device::flex())?;
    let vocab_size = decoder.config().vocab_size;
    let (batches, prompts) = match shape {
        Shape::D1 => {
            let corpus = Corpus::new(&recipe, &tokenizer);
            let batches = (0..BATCHES).map(|step| corpus.batch(step)).collect::<Result<_, _>>()?;
            (batches, corpus.prompts()?)
        }
        Shape::Small => (causal(16, vocab_size), token_rows(1, PROMPT, vocab_size, u64::MAX)),
        Shape::Medium => (causal(8, vocab_size), Vec::new()),
        Shape::SmallDiffusion => {
            let prompts = token_rows(DECODING.0, DECODING.1, vocab_size, 0);
            // Only compared, not trained on: one masked position after each prompt.
            let rows = prompts.iter().map(|row| [row.as_slice(), &[MASK]].concat()).collect();
            let count = prompts.len();
            let check = TrainBatch {
                rows,
                row: (0..count).collect(),
                column: vec![DECODING.1; count],
                target: prompts.iter().map(|row| row[0]).collect(),
                weight: vec![1.0 / count as f32; count],
            };
            (vec![check], prompts)
        }
    };
    hub::save(&decoder, tokenizer.as_bytes(), out)?;
    let decoding = recipe.decoding;
    Inputs {
        batches,
        prompts,
        rl: recipe.rl,
        block_length: decoding.block_length,
        tokens_per_step: decoding.tokens_per_step,
    }
    .write(out)
}

/// Rows of uniformly drawn ordinary tokens.
fn token_rows(rows: usize, length: usize, vocab_size: usize, step: u64) -> Vec<Vec<u32>> {
    (0..rows as u64)
        .map(|row| {
            let mut stream = Stream::new(0, "bench tokens", step, row);
            (0..length).map(|_| (8 + stream.below(vocab_size - 8)) as u32).collect()
        })
        .collect()
}

/// Next-token prediction at every position, mean over tokens.
fn causal(rows: usize, vocab_size: usize) -> Vec<TrainBatch> {
    let batch = |step| {
        let tokens = token_rows(rows, CONTEXT + 1, vocab_size, step);
        let count = rows * CONTEXT;
        TrainBatch {
            rows: tokens.iter().map(|row| row[..CONTEXT].to_vec()).collect(),
            row: (0..count).map(|index| index / CONTEXT).collect(),
            column: (0..count).map(|index| index % CONTEXT).collect(),
            target: tokens.iter().flat_map(|row| &row[1..]).copied().collect(),
            weight: vec![1.0 / count as f32; count],
        }
    };
    (0..BATCHES).map(batch).collect()
}

/// The texts of the laptop experiment, half of them methodical and half hasty.
struct Corpus<'a> {
    recipe: &'a Recipe,
    tokenizer: &'a Tokenizer,
    sudoku: SudokuWriter,
    countdown: CountdownWriter,
}

impl<'a> Corpus<'a> {
    fn new(recipe: &'a Recipe, tokenizer: &'a Tokenizer) -> Self {
        let empties = recipe.sudoku.empties..=recipe.sudoku.empties;
        let [first, last] = recipe.countdown.targets;
        Self {
            recipe,
            tokenizer,
            sudoku: SudokuWriter { grids: sudoku::split_grids(0).train, empties },
            countdown: CountdownWriter { targets: first..=last, part: Part::Train },
        }
    }

    /// A masked pre-training batch.
    fn batch(&self, step: u64) -> anyhow::Result<TrainBatch> {
        let (options, windows) = (&self.recipe.pretrain, &self.recipe.corpus.windows);
        let window = *Stream::new(0, "bench window", step, 0).choose(windows);
        let sudoku = (options.sudoku_share * options.batch as f64).round() as usize;
        let examples = (0..options.batch)
            .map(|index| {
                let mut stream = Stream::new(0, "bench corpus", step, index as u64);
                let habit = [Habit::Methodical, Habit::Hasty][index % 2];
                let written = match index < sudoku {
                    true => self.sudoku.corpus(habit, &mut stream)?,
                    false => self.countdown.corpus(habit, &mut stream)?,
                };
                let completion = self.tokenizer.encode(&written.completion)?;
                let needed = window.max(completion.len());
                let window = windows.iter().copied().filter(|w| *w >= needed).min();
                let window = window.context("a text exceeds every window")?;
                Ok(Example { prompt: self.prompt(&written.prompt)?, completion, window })
            })
            .collect::<anyhow::Result<Vec<_>>>()?;
        let examples: Vec<&Example> = examples.iter().collect();
        let masked = mask_batch(&examples, &self.recipe.loss, [MASK, EOS], 0, step)?;
        Ok(TrainBatch {
            rows: masked.rows,
            row: masked.row,
            column: masked.column,
            target: masked.targets,
            weight: masked.weights,
        })
    }

    /// One prompt for each group of a reinforcement-learning step.
    fn prompts(&self) -> anyhow::Result<Vec<Vec<u32>>> {
        (0..self.recipe.rl.prompts as u64)
            .map(|index| {
                let mut stream = Stream::new(0, "bench prompts", 0, index);
                self.prompt(&self.sudoku.corpus(Habit::Methodical, &mut stream)?.prompt)
            })
            .collect()
    }

    fn prompt(&self, text: &str) -> anyhow::Result<Vec<u32>> {
        Ok([&[BOS][..], &self.tokenizer.encode(text)?].concat())
    }
}
