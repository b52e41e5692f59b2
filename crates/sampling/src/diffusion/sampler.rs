use rayon::prelude::*;

use super::canvas::Canvas;
use super::commit::{BadLogits, Choice, choose};
use super::denoiser::Denoiser;
use super::event::StepEvent;
use super::guidance::guide;
use super::key::{RowKey, SampleKey};
use super::params::{DiffusionParams, ParamsError};
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
/// [`SampleError`].
pub fn generate_with<D: Denoiser>(
    denoiser: &D,
    prompts: &[Vec<u32>],
    params: &DiffusionParams,
    key: SampleKey<'_>,
    on_step: &mut dyn FnMut(&StepEvent<'_>),
    interrupt: &dyn Fn() -> bool,
) -> Result<Vec<Rollout>, SampleError<D::Error>> {
    params.validate(prompts, denoiser.vocab_size())?;
    let (samples, total) = (key.samples.len(), prompts.len());
    if samples != total {
        return Err(ParamsError::SampleCount { samples, prompts: total }.into());
    }
    let mut waiting =
        prompts.iter().zip(key.samples).enumerate().map(|(index, (prompt, &sample))| {
            Row::new(index, prompt, RowKey::new(key.seed, key.step, sample), params)
        });
    let mut pass = Pass { denoiser, params, banned: params.banned(), interrupt, done: 0 };
    let mut active: Vec<Row<'_>> = waiting.by_ref().take(params.max_rows).collect();
    let mut finished: Vec<(usize, Rollout)> = Vec::with_capacity(total);
    for step in 0.. {
        if active.is_empty() {
            break;
        }
        let before = pass.done;
        let choices = match pass.predict(&active) {
            Err(Stop::Interrupt) => {
                return Err(Interrupted { finished: finished.len(), total }.into());
            }
            Err(Stop::Fail(error)) => return Err(error),
            Ok(choices) => choices,
        };
        let mut rest = choices.as_slice();
        for row in &mut active {
            let (own, others) = rest.split_at(row.masked(params).count());
            row.advance(own, pass.done - before, params);
            rest = others;
        }
        on_step(&StepEvent { step, rows: active.iter().map(Row::view).collect() });
        for row in active.extract_if(.., |row| row.finished()) {
            finished.push((row.index, row.into_rollout(params)));
        }
        let room = params.max_rows - active.len();
        active.extend(waiting.by_ref().take(room));
    }
    finished.sort_unstable_by_key(|(index, _)| *index);
    Ok(finished.into_iter().map(|(_, rollout)| rollout).collect())
}

/// Why a step has no predictions.
enum Stop<E: std::error::Error + 'static> {
    Interrupt,
    Fail(SampleError<E>),
}

/// What a forward pass needs beside the rows.
struct Pass<'a, D> {
    denoiser: &'a D,
    params: &'a DiffusionParams,
    banned: Vec<u32>,
    interrupt: &'a dyn Fn() -> bool,
    /// Forward passes so far.
    done: usize,
}

impl<D: Denoiser> Pass<'_, D> {
    /// The predictions for the masked positions of each row's current block, row by row.
    fn predict(&mut self, rows: &[Row<'_>]) -> Result<Vec<Choice>, Stop<D::Error>> {
        let mut canvas = Canvas::new(rows, self.params);
        let mut logits = self.forward(&canvas)?;
        if self.params.cfg_scale > 0.0 {
            canvas.mask_prompts(rows, self.params.mask_id);
            guide(&mut logits, &self.forward(&canvas)?, self.params.cfg_scale);
        }
        let places: Vec<(&Row<'_>, usize)> = rows
            .iter()
            .flat_map(|row| row.masked(self.params).map(move |position| (row, position)))
            .collect();
        let predict = |(&(row, position), logits): (&(&Row<'_>, usize), &[f32])| {
            let mut stream = row.key.token(row.step, position);
            choose(logits, &self.banned, self.params.temperature, &mut stream)
                .map_err(|source| bad_logits(row, position, source))
        };
        let vocab_size = self.denoiser.vocab_size();
        let choices: Vec<Result<Choice, SampleError<D::Error>>> = if logits.len() < WORTH_THREADS {
            places.iter().zip(logits.chunks_exact(vocab_size)).map(predict).collect()
        } else {
            places.par_iter().zip(logits.par_chunks_exact(vocab_size)).map(predict).collect()
        };
        // In order, so that the first error is the same one whatever the threads.
        choices.into_iter().collect::<Result<_, _>>().map_err(Stop::Fail)
    }

    fn forward(&mut self, canvas: &Canvas) -> Result<Vec<f32>, Stop<D::Error>> {
        if (self.interrupt)() {
            return Err(Stop::Interrupt);
        }
        let pass = self.done;
        self.done += 1;
        let (positions, vocab_size) = (canvas.positions.len(), self.denoiser.vocab_size());
        let logits = self
            .denoiser
            .logits(&canvas.batch(), &canvas.positions)
            .map_err(|source| Stop::Fail(SampleError::Denoiser { pass, source }))?;
        if logits.len() != positions * vocab_size {
            let actual = logits.len();
            return Err(Stop::Fail(SampleError::LogitsLength { positions, vocab_size, actual }));
        }
        Ok(logits)
    }
}

fn bad_logits<E: std::error::Error + 'static>(
    row: &Row<'_>,
    position: usize,
    source: BadLogits,
) -> SampleError<E> {
    SampleError::BadLogits { row: row.index, position, step: row.step, source }
}
