use super::choose::{Chosen, choose, forced};
use super::completion::{Completion, Cost, Generation};
use super::error::GenerateError;
use super::event::{FinishedRow, Hooks, PassEvent};
use super::key::{RowKey, SeedKey};
use super::model::{CausalModel, Extension};
use super::params::AutoregressiveParams;
use super::row::{Prompt, Row};
use crate::Interrupted;
use rayon::prelude::*;
use std::collections::VecDeque;

/// Logits below which handing work to other threads costs more than it saves.
const WORTH_THREADS: usize = 1 << 15;

/// Samples completions of each prompt.
///
/// A completion depends on its prompt, its sample id, the key and the parameters, never on the
/// other rows, their number or the number of threads.
///
/// # Errors
/// [`GenerateError`]; no completion is returned then, not even a finished one.
pub fn generate<M: CausalModel>(
    model: &M,
    prompts: &[Prompt<'_>],
    params: &AutoregressiveParams,
    key: SeedKey,
) -> Result<Generation, GenerateError<M::Error>> {
    let hooks = Hooks { on_pass: &mut |_| {}, stop: &|_| false, interrupt: &|| false };
    generate_with(model, prompts, params, key, hooks)
}

/// [`generate`] with eyes on it: completions also end where a hook says so, and
/// [`GenerateError::Interrupted`] is what follows from giving up.
///
/// # Errors
/// [`GenerateError`].
pub fn generate_with<M: CausalModel>(
    model: &M,
    prompts: &[Prompt<'_>],
    params: &AutoregressiveParams,
    key: SeedKey,
    hooks: Hooks<'_>,
) -> Result<Generation, GenerateError<M::Error>> {
    params.validate(prompts, model.vocab_size(), model.max_positions())?;
    let completions = prompts.iter().map(|prompt| vec![None; prompt.samples.len()]).collect();
    let mut sampler = Sampler {
        model,
        prompts,
        params,
        key,
        stop: hooks.stop,
        interrupt: hooks.interrupt,
        waiting: (0..prompts.len()).filter(|at| !prompts[*at].samples.is_empty()).collect(),
        started: VecDeque::new(),
        active: Vec::new(),
        completions,
        cost: Cost::default(),
        logits: Vec::new(),
        drawn: 0,
        finished: Vec::new(),
    };
    loop {
        let more = sampler.step()?;
        if sampler.drawn > 0 {
            (hooks.on_pass)(&PassEvent { tokens: sampler.drawn, finished: &sampler.finished });
            sampler.drawn = 0;
            sampler.finished.clear();
        }
        if !more {
            break;
        }
    }
    let completions = sampler.completions;
    let completions = completions.into_iter().map(|row| row.into_iter().flatten().collect());
    Ok(Generation { completions: completions.collect(), cost: sampler.cost })
}

/// A prompt that has been through the model and still has samples to start.
struct Started<C> {
    prompt: usize,
    cache: C,
    /// What follows the prompt.
    logits: Vec<f32>,
    next_sample: usize,
}

struct Sampler<'a, M: CausalModel> {
    model: &'a M,
    prompts: &'a [Prompt<'a>],
    params: &'a AutoregressiveParams,
    key: SeedKey,
    stop: &'a dyn Fn(&[u32]) -> bool,
    interrupt: &'a dyn Fn() -> bool,
    /// Prompts that have not been through the model.
    waiting: VecDeque<usize>,
    started: VecDeque<Started<M::Cache>>,
    active: Vec<Row<M::Cache>>,
    completions: Vec<Vec<Option<Completion>>>,
    cost: Cost,
    logits: Vec<f32>,
    /// Tokens drawn and rows finished since the last event.
    drawn: usize,
    finished: Vec<FinishedRow>,
}

impl<M: CausalModel> Sampler<'_, M> {
    /// One forward pass and what belongs to it; false when nothing was left to do.
    fn step(&mut self) -> Result<bool, GenerateError<M::Error>> {
        self.start_samples()?;
        let mut starting = self.next_prompts();
        if self.active.is_empty() && starting.is_empty() {
            return Ok(false);
        }
        if (self.interrupt)() {
            let finished = self.completions.iter().flatten().flatten().count();
            let total = self.completions.iter().map(Vec::len).sum();
            return Err(Interrupted { finished, total }.into());
        }
        self.forward(&mut starting)?;
        let vocab_size = self.model.vocab_size();
        let (of_rows, of_prompts) = self.logits.split_at(self.active.len() * vocab_size);
        let choices = choices(&self.active, of_rows, vocab_size, self.params);
        let logits = of_prompts.chunks_exact(vocab_size);
        self.started.extend(starting.into_iter().zip(logits).map(|((prompt, cache), logits)| {
            Started { prompt, cache, logits: logits.to_vec(), next_sample: 0 }
        }));
        for (row, chosen) in self.active.iter_mut().zip(choices) {
            row.push(chosen?, self.params, self.stop);
            self.drawn += 1;
        }
        self.collect_finished();
        Ok(true)
    }

    /// Gives free places to samples of prompts that have been through the model.
    fn start_samples(&mut self) -> Result<(), GenerateError<M::Error>> {
        while self.active.len() < self.params.max_rows {
            let Some(mut started) = self.started.pop_front() else { break };
            let (prompt, samples) = (started.prompt, self.prompts[started.prompt].samples);
            let room = self.params.max_rows - self.active.len();
            let first = started.next_sample;
            let last = samples.len().min(first.saturating_add(room));
            started.next_sample = last;
            let new_row = |sample: usize, cache| {
                Row::new(prompt, sample, cache, RowKey::new(self.key, samples[sample]))
            };
            let mut rows: Vec<Row<M::Cache>> = Vec::with_capacity(last - first);
            let logits = std::mem::take(&mut started.logits);
            if last < samples.len() {
                for sample in first..last {
                    rows.push(new_row(sample, self.model.fork(&mut started.cache)));
                }
                let logits = logits.clone();
                self.started.push_front(Started { logits, ..started });
            } else {
                for sample in first..last - 1 {
                    rows.push(new_row(sample, self.model.fork(&mut started.cache)));
                }
                rows.push(new_row(last - 1, started.cache));
            }
            let chosen: Vec<_> =
                rows.iter().map(|row| choose_for(row, &logits, self.params)).collect();
            for (mut row, chosen) in rows.into_iter().zip(chosen) {
                row.push(chosen?, self.params, self.stop);
                self.drawn += 1;
                self.active.push(row);
            }
            self.collect_finished();
        }
        Ok(())
    }

    /// Prompts that go through the model in the next pass, as far as there is room for samples.
    fn next_prompts(&mut self) -> Vec<(usize, M::Cache)> {
        let mut room = self.params.max_rows - self.active.len();
        let mut starting = Vec::new();
        // Those that have been started take the places first.
        while room > 0 && self.started.is_empty() {
            let Some(prompt) = self.waiting.pop_front() else { break };
            let Prompt { tokens, samples } = self.prompts[prompt];
            let capacity = tokens.len() + self.params.max_new_tokens;
            starting.push((prompt, self.model.new_cache(capacity)));
            room = room.saturating_sub(samples.len());
        }
        starting
    }

    /// Logits of the active rows, then of the starting prompts.
    fn forward(
        &mut self,
        starting: &mut [(usize, M::Cache)],
    ) -> Result<(), GenerateError<M::Error>> {
        let (prompts, vocab_size) = (self.prompts, self.model.vocab_size());
        let rows = self.active.iter_mut().map(|row| Extension {
            cache: &mut row.cache,
            tokens: row.tokens.last().map_or(&[][..], std::slice::from_ref),
        });
        let prompts = starting
            .iter_mut()
            .map(|(prompt, cache)| Extension { cache, tokens: prompts[*prompt].tokens });
        let mut rows: Vec<Extension<'_, M::Cache>> = rows.chain(prompts).collect();
        let pass = self.cost.passes;
        self.cost.passes += 1;
        self.cost.forward_tokens += rows.iter().map(|row| row.tokens.len()).sum::<usize>();
        self.model
            .extend(&mut rows, &mut self.logits)
            .map_err(|source| GenerateError::Model { pass, source })?;
        let (rows, actual) = (rows.len(), self.logits.len());
        if actual != rows * vocab_size {
            return Err(GenerateError::LogitsLength { rows, vocab_size, actual });
        }
        if !self.params.suppress.is_empty() {
            for logits in self.logits.chunks_exact_mut(vocab_size) {
                for id in &self.params.suppress {
                    logits[*id as usize] = f32::NEG_INFINITY;
                }
            }
        }
        Ok(())
    }

    fn collect_finished(&mut self) {
        for row in self.active.extract_if(.., |row| row.finished()) {
            let (prompt, sample) = (row.prompt, row.sample);
            self.finished.push(FinishedRow { prompt, sample, tokens: row.tokens.len() });
            self.completions[prompt][sample] = Some(row.into_completion());
        }
    }
}

/// The next token of each row.
fn choices<C, E: std::error::Error + 'static>(
    rows: &[Row<C>],
    logits: &[f32],
    vocab_size: usize,
    params: &AutoregressiveParams,
) -> Vec<Result<Chosen, GenerateError<E>>> {
    // Caches need not be shared between threads; what a choice needs of a row can be.
    let places: Vec<(RowKey, usize)> = rows.iter().map(|row| (row.key, row.tokens.len())).collect();
    let draw = |((key, position), logits): (&(RowKey, usize), &[f32])| {
        next_token(logits, params, *key, *position)
    };
    let drawn: Vec<_> = if logits.len() < WORTH_THREADS {
        places.iter().zip(logits.chunks_exact(vocab_size)).map(draw).collect()
    } else {
        places.par_iter().zip(logits.par_chunks_exact(vocab_size)).map(draw).collect()
    };
    // In order, so that the first error is the same one whatever the threads.
    let named = rows.iter().zip(drawn);
    named.map(|(row, drawn)| drawn.map_err(|source| bad_logits(row, source))).collect()
}

fn choose_for<C, E: std::error::Error + 'static>(
    row: &Row<C>,
    logits: &[f32],
    params: &AutoregressiveParams,
) -> Result<Chosen, GenerateError<E>> {
    next_token(logits, params, row.key, row.tokens.len()).map_err(|source| bad_logits(row, source))
}

/// The token at a position of a completion: the one that must stand there, or a choice.
fn next_token(
    logits: &[f32],
    params: &AutoregressiveParams,
    key: RowKey,
    position: usize,
) -> Result<Chosen, crate::diffusion::BadLogits> {
    match params.forced(position) {
        Some(token) => forced(logits, token),
        None => choose(logits, params, key.uniform(position)),
    }
}

fn bad_logits<C, E: std::error::Error + 'static>(
    row: &Row<C>,
    source: crate::diffusion::BadLogits,
) -> GenerateError<E> {
    let (prompt, sample, position) = (row.prompt, row.sample, row.tokens.len());
    GenerateError::BadLogits { prompt, sample, position, source }
}
