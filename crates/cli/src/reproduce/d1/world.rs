//! Everything the stages share: tokenizer, tasks, problems, decoding.

use super::recipe::{Recipe, Rl};
use afterthought_models::DecoderConfig;
use afterthought_models::family::Family;
use afterthought_random::Stream;
use afterthought_sampling::diffusion::{CommitRule, DiffusionParams};
use afterthought_tasks::writers::{
    CountdownWriter, Habit, Part, SudokuWriter, Writer, Written, vocabulary,
};
use afterthought_tasks::{Problem, PromptStyle, TaskName, sudoku};
use afterthought_text::{SpecialTokens, word_level};
use afterthought_training::PromptFormat;
use afterthought_training::objective::Example;
use burn::tensor::Device;
use std::collections::HashSet;

/// Tasks of the experiment, in table order.
pub(crate) const TASKS: [TaskName; 2] = [TaskName::Sudoku, TaskName::Countdown];

/// The task writers of one part of the problem space.
pub(crate) struct Writers([Box<dyn Writer>; 2]);

impl Writers {
    fn new(recipe: &Recipe, grids: Vec<sudoku::Grid>, part: Part) -> Self {
        let empties = recipe.sudoku.empties..=recipe.sudoku.empties;
        let [first, last] = recipe.countdown.targets;
        Self([
            Box::new(SudokuWriter { grids, empties }),
            Box::new(CountdownWriter { targets: first..=last, part }),
        ])
    }

    /// The writer of a task.
    pub(crate) fn of(&self, task: TaskName) -> &dyn Writer {
        match task {
            TaskName::Sudoku => self.0[0].as_ref(),
            // The experiment has two tasks.
            _ => self.0[1].as_ref(),
        }
    }
}

/// The experiment's fixed surroundings.
pub(crate) struct World {
    pub(crate) recipe: Recipe,
    pub(crate) seed: u64,
    pub(crate) device: Device,
    pub(crate) format: PromptFormat,
    pub(crate) mask: u32,
    pub(crate) train: Writers,
    validation: Writers,
    test: Writers,
}

impl World {
    pub(crate) fn new(recipe: Recipe, seed: u64) -> anyhow::Result<Self> {
        let special = SpecialTokens::default();
        let tokenizer = word_level(&vocabulary(), &special)?;
        let id = |token: &str| tokenizer.token_to_id(token);
        let (mask, bos, eos) = (id(&special.mask)?, id(&special.bos)?, id(&special.eos)?);
        // One split for all seeds: whatever is trained, test solutions stay unseen.
        let grids = sudoku::split_grids(0);
        Ok(Self {
            train: Writers::new(&recipe, grids.train, Part::Train),
            validation: Writers::new(&recipe, grids.validation, Part::Validation),
            test: Writers::new(&recipe, grids.test, Part::Test),
            format: PromptFormat {
                tokenizer,
                bos: Some(bos),
                eos,
                style: PromptStyle::Compact,
                chat: None,
            },
            device: Device::flex(),
            recipe,
            seed,
            mask,
        })
    }

    /// The settings of the model, vocabulary included.
    pub(crate) fn model(&self) -> DecoderConfig {
        let model = &self.recipe.model;
        let longest =
            self.recipe.corpus.windows.iter().chain(&self.recipe.evaluation.lengths).max();
        DecoderConfig {
            family: Family::with(model.qk_norm, false),
            vocab_size: self.format.tokenizer.vocab_size(),
            hidden_size: model.hidden_size,
            intermediate_size: model.intermediate_size,
            num_hidden_layers: model.layers,
            num_attention_heads: model.heads,
            num_key_value_heads: model.heads,
            head_dim: model.hidden_size / model.heads,
            rms_norm_eps: 1e-5,
            rope_theta: 10_000.0,
            // Prompts of both tasks have at most 32 tokens.
            max_position_embeddings: longest.copied().unwrap_or(0) + 32,
            tie_word_embeddings: false,
            attention_bias: false,
            qk_norm: model.qk_norm,
            causal: false,
            initializer_range: model.initializer_range,
            mask_token_id: Some(self.mask),
            bos_token_id: self.format.bos,
            eos_token_id: Some(self.format.eos),
            pad_token_id: Some(self.format.eos),
            ..DecoderConfig::default()
        }
    }

    /// Decoding of `gen_length` tokens at a temperature.
    pub(crate) fn decoding(&self, gen_length: usize, temperature: f64) -> DiffusionParams {
        let decoding = &self.recipe.decoding;
        let mut params =
            DiffusionParams::new(gen_length, self.mask, self.format.eos, self.format.eos);
        params.block_length = decoding.block_length;
        params.commit = CommitRule::Schedule { steps: gen_length / decoding.tokens_per_step };
        params.temperature = temperature;
        // Nothing behind the first EOS is read, and the loss stops there too.
        params.stop_after_eos = true;
        params.max_rows = 256;
        params
    }

    /// Decoding of rollouts.
    pub(crate) fn rollouts(&self, options: &Rl) -> DiffusionParams {
        let steps = options.gen_length / options.tokens_per_step;
        let mut params = self.decoding(options.gen_length, options.temperature);
        params.commit = CommitRule::Schedule { steps };
        params
    }

    /// Problems for checkpoint choice.
    pub(crate) fn validation(&self, task: TaskName) -> anyhow::Result<Vec<Box<dyn Problem>>> {
        self.problems(
            &self.validation,
            task,
            "validation",
            self.recipe.evaluation.validation_problems,
        )
    }

    /// Problems for the table, all different: the same for all seeds.
    pub(crate) fn test(&self, task: TaskName) -> anyhow::Result<Vec<Box<dyn Problem>>> {
        let wanted = self.recipe.evaluation.test_problems;
        let mut seen = HashSet::new();
        // Small spaces repeat themselves; a space that is too small ends the search.
        for draws in [2, 8, 32].map(|factor| factor * wanted) {
            let mut problems = self.problems(&self.test, task, "test", draws)?;
            seen.clear();
            problems.retain(|problem| seen.insert(problem.prompt(self.format.style)));
            if problems.len() >= wanted {
                problems.truncate(wanted);
                return Ok(problems);
            }
        }
        anyhow::bail!("{task} has only {} different test problems, {wanted} are wanted", seen.len())
    }

    fn problems(
        &self,
        writers: &Writers,
        task: TaskName,
        part: &str,
        count: usize,
    ) -> anyhow::Result<Vec<Box<dyn Problem>>> {
        (0..count as u64)
            .map(|sample| Ok(writers.of(task).problem(&mut Stream::new(0, part, 0, sample))?))
            .collect()
    }

    /// The task of one example of a pre-training batch. The tasks alternate in proportion to their
    /// shares: stratified mask times follow the index, and a batch sorted by task would give each
    /// task only its own stretch of them.
    pub(crate) fn pretraining_task(&self, index: usize) -> TaskName {
        let options = &self.recipe.pretrain;
        let sudoku = (options.sudoku_share * options.batch as f64).round() as usize;
        let before = |index: usize| index * sudoku / options.batch.max(1);
        if before(index + 1) > before(index) { TaskName::Sudoku } else { TaskName::Countdown }
    }

    /// A habit drawn with the corpus's shares.
    pub(crate) fn habit(&self, task: TaskName, stream: &mut Stream) -> Habit {
        let corpus = &self.recipe.corpus;
        let habits = if task == TaskName::Sudoku { corpus.sudoku } else { corpus.countdown };
        let shares = [
            (Habit::Methodical, habits.methodical),
            (Habit::Casual, habits.casual),
            (Habit::Hasty, habits.hasty),
        ];
        let mut point = stream.uniform();
        for (habit, share) in shares {
            if point < share {
                return habit;
            }
            point -= share;
        }
        Habit::Formless
    }

    /// Tokens of a written text in the smallest of the corpus's windows that is at least `window`
    /// and holds it.
    pub(crate) fn example(&self, written: &Written, window: usize) -> anyhow::Result<Example> {
        let completion = self.format.tokenizer.encode(&written.completion)?;
        let needed = window.max(completion.len());
        let windows = &self.recipe.corpus.windows;
        let Some(window) = windows.iter().copied().filter(|w| *w >= needed).min() else {
            anyhow::bail!(
                "a text of {} tokens exceeds every window of {windows:?}",
                completion.len()
            );
        };
        Ok(Example { prompt: self.format.prompt(&written.prompt)?, completion, window })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::args::RunPreset;

    #[test]
    fn every_task_sees_the_whole_range_of_stratified_times() {
        let recipe = Recipe::preset(RunPreset::Laptop).unwrap();
        let (batch, share) = (recipe.pretrain.batch, recipe.pretrain.sudoku_share);
        let world = World::new(recipe, 0).unwrap();
        for task in TASKS {
            let indices: Vec<usize> =
                (0..batch).filter(|index| world.pretraining_task(*index) == task).collect();
            let expected = if task == TaskName::Sudoku { share } else { 1.0 - share };
            assert_eq!(indices.len(), (expected * batch as f64).round() as usize);
            // Times are `index / batch` apart: no gap is wider than the task's share allows, the
            // one around the end of the circle included.
            let around = indices[0] + batch - indices[indices.len() - 1];
            let gaps = indices.windows(2).map(|pair| pair[1] - pair[0]).chain([around]);
            assert!(gaps.max().unwrap() <= (1.0 / expected).ceil() as usize + 1, "{indices:?}");
        }
    }
}
