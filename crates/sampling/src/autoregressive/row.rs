use super::choose::Chosen;
use super::completion::{Completion, FinishReason};
use super::key::RowKey;
use super::params::AutoregressiveParams;

/// A prompt and the samples asked for.
#[derive(Clone, Copy, Debug)]
pub struct Prompt<'a> {
    /// Its tokens.
    pub tokens: &'a [u32],
    /// One id a completion. Ids alone decide on the random numbers: equal ones give equal
    /// completions of equal prompts, so giving each its own is the caller's part.
    pub samples: &'a [u64],
}

/// A sequence that is being decoded.
#[derive(Debug)]
pub(super) struct Row<C> {
    /// Index of the prompt.
    pub(super) prompt: usize,
    /// Index among the prompt's samples.
    pub(super) sample: usize,
    pub(super) cache: C,
    pub(super) key: RowKey,
    pub(super) tokens: Vec<u32>,
    log_probs: Vec<f32>,
    finish: Option<FinishReason>,
}

impl<C> Row<C> {
    pub(super) fn new(prompt: usize, sample: usize, cache: C, key: RowKey) -> Self {
        let (tokens, log_probs) = (Vec::new(), Vec::new());
        Self { prompt, sample, cache, key, tokens, log_probs, finish: None }
    }

    pub(super) fn push(
        &mut self,
        chosen: Chosen,
        params: &AutoregressiveParams,
        stop: &dyn Fn(&[u32]) -> bool,
    ) {
        self.tokens.push(chosen.token);
        self.log_probs.push(chosen.log_prob as f32);
        if params.eos_ids.contains(&chosen.token) {
            self.finish = Some(FinishReason::Eos);
        } else if stop(&self.tokens) {
            self.finish = Some(FinishReason::Stop);
        } else if self.tokens.len() == params.max_new_tokens {
            self.finish = Some(FinishReason::Length);
        }
    }

    pub(super) fn finished(&self) -> bool {
        self.finish.is_some()
    }

    pub(super) fn into_completion(self) -> Completion {
        let finish = self.finish.unwrap_or(FinishReason::Length);
        Completion { tokens: self.tokens, log_probs: self.log_probs, finish }
    }
}
