use std::ops::Range;

use super::cache::BlockPass;
use super::commit::Choice;
use super::event::RowView;
use super::key::RowKey;
use super::params::{DiffusionParams, Remasking};
use super::trace::{Commit, Rollout};

/// A sequence that is being decoded. It advances by itself: nothing here knows of other rows.
#[derive(Debug)]
pub(super) struct Row<'a> {
    pub(super) index: usize,
    pub(super) prompt: &'a [u32],
    pub(super) completion: Vec<u32>,
    pub(super) key: RowKey,
    /// The row's next denoising step.
    pub(super) step: u32,
    trace: Vec<Commit>,
    /// First position of the current block.
    block: usize,
    step_in_block: usize,
    committed: Vec<usize>,
    model_calls: usize,
    forward_tokens: usize,
}

impl<'a> Row<'a> {
    pub(super) fn new(
        index: usize,
        prompt: &'a [u32],
        key: RowKey,
        params: &DiffusionParams,
    ) -> Self {
        let blank = Commit { step: u32::MAX, confidence: 0.0, log_prob: 0.0, filled: false };
        Self {
            index,
            prompt,
            completion: vec![params.mask_id; params.gen_length],
            key,
            step: 0,
            trace: vec![blank; params.gen_length],
            block: 0,
            step_in_block: 0,
            committed: Vec::new(),
            model_calls: 0,
            forward_tokens: 0,
        }
    }

    /// Tokens of prompt and completion.
    pub(super) fn len(&self) -> usize {
        self.prompt.len() + self.completion.len()
    }

    /// Positions of the current block that are masked, ascending.
    pub(super) fn masked(&self, params: &DiffusionParams) -> impl Iterator<Item = usize> {
        let mask_id = params.mask_id;
        (self.block..)
            .zip(&self.completion[self.block..self.block + params.block_length])
            .filter(move |(_, id)| **id == mask_id)
            .map(|(position, _)| position)
    }

    /// Positions, counted from the start of the prompt, that the row's next pass runs.
    pub(super) fn window(&self, params: &DiffusionParams) -> Range<usize> {
        let block = self.prompt.len() + self.block;
        let begins = self.step_in_block == 0;
        let refreshes = match params.cache_refresh {
            None => begins,
            // A row takes one pass a step.
            Some(passes) => (self.step as usize).is_multiple_of(passes),
        };
        let pass = match (refreshes, begins) {
            (true, _) => BlockPass::Refresh,
            (false, true) => BlockPass::First,
            (false, false) => BlockPass::Later,
        };
        let positions = block..block + params.block_length;
        params.cache.window(pass, positions, params.cache_ahead, self.len())
    }

    /// The tokens at positions counted from the start of the prompt.
    pub(super) fn tokens(&self, positions: Range<usize>) -> Vec<u32> {
        let sequence = self.prompt.iter().chain(&self.completion);
        sequence.skip(positions.start).take(positions.len()).copied().collect()
    }

    /// Counts a forward pass over `tokens` of the row's tokens.
    pub(super) fn charge(&mut self, tokens: usize) {
        self.model_calls += 1;
        self.forward_tokens += tokens;
    }

    pub(super) fn finished(&self) -> bool {
        self.block == self.completion.len()
    }

    /// Does one denoising step with the predictions for the masked positions, in their order.
    pub(super) fn advance(&mut self, choices: &[Choice], params: &DiffusionParams) {
        let masked: Vec<usize> = self.masked(params).collect();
        let confidences: Vec<f64> = (masked.iter().zip(choices))
            .map(|(&position, choice)| match params.remasking {
                Remasking::LowConfidence => choice.confidence,
                Remasking::Random => self.key.remasking(self.step, position).open_uniform(),
            })
            .collect();
        let lengths = (params.block_length, params.blocks());
        let kept = params.commit.keep(&confidences, self.step_in_block, lengths);
        self.committed.clear();
        for &i in &kept {
            self.completion[masked[i]] = choices[i].token;
            self.trace[masked[i]] = Commit {
                step: self.step,
                confidence: confidences[i] as f32,
                log_prob: choices[i].log_prob as f32,
                filled: false,
            };
            self.committed.push(masked[i]);
        }
        self.step_in_block += 1;
        if kept.len() == masked.len() {
            self.end_block(params);
        }
        self.step += 1;
    }

    fn end_block(&mut self, params: &DiffusionParams) {
        let end = self.block + params.block_length;
        let ended = self.completion[self.block..end].contains(&params.eos_id);
        self.block = end;
        self.step_in_block = 0;
        if ended && params.stop_after_eos {
            self.completion[end..].fill(params.eos_id);
            self.trace[end..].fill(Commit {
                step: self.step,
                confidence: 1.0,
                log_prob: 0.0,
                filled: true,
            });
            self.committed.extend(end..self.completion.len());
            self.block = self.completion.len();
        }
    }

    /// The row just after [`advance`](Self::advance).
    pub(super) fn view(&self) -> RowView<'_> {
        RowView {
            row: self.index,
            prompt: self.prompt,
            completion: &self.completion,
            step: self.step.saturating_sub(1),
            committed: self.committed.clone(),
            finished: self.finished(),
        }
    }

    pub(super) fn into_rollout(self, params: &DiffusionParams) -> Rollout {
        Rollout {
            prompt: self.prompt.to_vec(),
            completion: self.completion,
            trace: self.trace,
            model_calls: self.model_calls,
            forward_tokens: self.forward_tokens,
            mask_id: params.mask_id,
        }
    }
}
