use rayon::prelude::*;

use super::cache::CacheMode;
use super::cached_denoiser::CachedDenoiser;
use super::commit::{BadLogits, Choice, choose};
use super::denoiser::Denoiser;
use super::event::StepEvent;
use super::key::{RowKey, SampleKey};
use super::params::{DiffusionParams, ParamsError};
use super::passes::{CachedRows, Gate, Passes, Stop, WholeRows};
use super::row::Row;
use super::trace::Rollout;
use crate::{Interrupted, SampleError};

/// Logits below which handing work to other threads costs more than it saves.
const WORTH_THREADS: usize = 1 << 15;

/// Decodes a completion of each prompt; results are in the order of the prompts.
///
/// # Errors
/// [`SampleError`]; no result is returned then, not even those of finished rows.
pub fn generate<D: Denoiser>(
    denoiser: &D,
    prompts: &[Vec<u32>],
    params: &DiffusionParams,
    key: SampleKey<'_>,
) -> Result<Vec<Rollout>, SampleError<D::Error>> {
    generate_with(denoiser, prompts, params, key, &mut |_| {}, &|| false)
}

/// [`generate`] that reports each denoising step to `on_step` and stops with
/// [`SampleError::Interrupted`] when `interrupt`, which is asked before each forward pass, is true.
///
/// # Errors
/// [`SampleError`]; [`ParamsError::NoCache`] for a cached mode.
pub fn generate_with<D: Denoiser>(
    denoiser: &D,
    prompts: &[Vec<u32>],
    params: &DiffusionParams,
    key: SampleKey<'_>,
    on_step: &mut dyn FnMut(&StepEvent<'_>),
    interrupt: &dyn Fn() -> bool,
) -> Result<Vec<Rollout>, SampleError<D::Error>> {
    if params.cache != CacheMode::Exact {
        return Err(ParamsError::NoCache { mode: params.cache }.into());
    }
    run(&mut WholeRows(denoiser), prompts, params, key, on_step, interrupt)
}

/// [`generate`] in any [`CacheMode`].
///
/// # Errors
/// [`SampleError`].
pub fn generate_cached<D: CachedDenoiser>(
    denoiser: &D,
    prompts: &[Vec<u32>],
    params: &DiffusionParams,
    key: SampleKey<'_>,
) -> Result<Vec<Rollout>, SampleError<D::Error>> {
    generate_cached_with(denoiser, prompts, params, key, &mut |_| {}, &|| false)
}

/// [`generate_with`] in any [`CacheMode`].
///
/// # Errors
/// [`SampleError`].
pub fn generate_cached_with<D: CachedDenoiser>(
    denoiser: &D,
    prompts: &[Vec<u32>],
    params: &DiffusionParams,
    key: SampleKey<'_>,
    on_step: &mut dyn FnMut(&StepEvent<'_>),
    interrupt: &dyn Fn() -> bool,
) -> Result<Vec<Rollout>, SampleError<D::Error>> {
    match params.cache {
        CacheMode::Exact => generate_with(denoiser, prompts, params, key, on_step, interrupt),
        CacheMode::PrefixCache | CacheMode::DualCache => {
            let mut passes = CachedRows::new(denoiser, params, prompts);
            run(&mut passes, prompts, params, key, on_step, interrupt)
        }
    }
}

fn run<P: Passes>(
    passes: &mut P,
    prompts: &[Vec<u32>],
    params: &DiffusionParams,
    key: SampleKey<'_>,
    on_step: &mut dyn FnMut(&StepEvent<'_>),
    interrupt: &dyn Fn() -> bool,
) -> Result<Vec<Rollout>, SampleError<P::Error>> {
    let vocab_size = passes.vocab_size();
    params.validate(prompts, vocab_size)?;
    let (samples, total) = (key.samples.len(), prompts.len());
    if samples != total {
        return Err(ParamsError::SampleCount { samples, prompts: total }.into());
    }
    let mut waiting =
        prompts.iter().zip(key.samples).enumerate().map(|(index, (prompt, &sample))| {
            Row::new(index, prompt, RowKey::new(key.seed, key.step, sample), params)
        });
    let banned = params.banned();
    let mut gate = Gate { interrupt, vocab_size, done: 0 };
    let mut active: Vec<Row<'_>> = waiting.by_ref().take(params.max_rows).collect();
    let mut finished: Vec<(usize, Rollout)> = Vec::with_capacity(total);
    for step in 0.. {
        if active.is_empty() {
            break;
        }
        let logits = passes.logits(&mut active, params, &mut gate).map_err(|stop| match stop {
            Stop::Interrupt => Interrupted { finished: finished.len(), total }.into(),
            Stop::Fail(error) => error,
        })?;
        let choices = choices(&logits, &active, params, &banned)?;
        let mut rest = choices.as_slice();
        for row in &mut active {
            let (own, others) = rest.split_at(row.masked(params).count());
            row.advance(own, params);
            rest = others;
        }
        on_step(&StepEvent { step, rows: active.iter().map(Row::view).collect() });
        for row in active.extract_if(.., |row| row.finished()) {
            passes.leave(row.index);
            finished.push((row.index, row.into_rollout(params)));
        }
        let room = params.max_rows - active.len();
        active.extend(waiting.by_ref().take(room));
    }
    finished.sort_unstable_by_key(|(index, _)| *index);
    Ok(finished.into_iter().map(|(_, rollout)| rollout).collect())
}

/// The predictions for the masked positions of each row's current block, row by row.
fn choices<E: std::error::Error + Send + Sync + 'static>(
    logits: &[f32],
    rows: &[Row<'_>],
    params: &DiffusionParams,
    banned: &[u32],
) -> Result<Vec<Choice>, SampleError<E>> {
    let places: Vec<(&Row<'_>, usize)> = rows
        .iter()
        .flat_map(|row| row.masked(params).map(move |position| (row, position)))
        .collect();
    let predict = |(&(row, position), logits): (&(&Row<'_>, usize), &[f32])| {
        let mut stream = row.key.token(row.step, position);
        choose(logits, banned, params.temperature, &mut stream)
            .map_err(|source| bad_logits(row, position, source))
    };
    // As many places as stretches of logits: the gate has checked the length.
    let vocab_size = (logits.len() / places.len().max(1)).max(1);
    let choices: Vec<Result<Choice, SampleError<E>>> = if logits.len() < WORTH_THREADS {
        places.iter().zip(logits.chunks_exact(vocab_size)).map(predict).collect()
    } else {
        places.par_iter().zip(logits.par_chunks_exact(vocab_size)).map(predict).collect()
    };
    // In order, so that the first error is the same one whatever the threads.
    choices.into_iter().collect()
}

fn bad_logits<E: std::error::Error + 'static>(
    row: &Row<'_>,
    position: usize,
    source: BadLogits,
) -> SampleError<E> {
    SampleError::BadLogits { row: row.index, position, step: row.step, source }
}
