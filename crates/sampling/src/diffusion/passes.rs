use super::cached_denoiser::{CachedCanvas, CachedDenoiser};
use super::canvas::Canvas;
use super::denoiser::Denoiser;
use super::guidance::guide;
use super::params::DiffusionParams;
use super::row::Row;
use crate::SampleError;
use std::collections::HashMap;

/// Why a step has no predictions.
pub(super) enum Stop<E: std::error::Error + 'static> {
    Interrupt,
    Fail(SampleError<E>),
}

/// What every forward pass goes through.
pub(super) struct Gate<'a> {
    pub(super) interrupt: &'a dyn Fn() -> bool,
    pub(super) vocab_size: usize,
    /// Forward passes so far.
    pub(super) done: usize,
}

impl Gate<'_> {
    fn pass<E: std::error::Error + 'static>(
        &mut self,
        positions: usize,
        logits: impl FnOnce() -> Result<Vec<f32>, E>,
    ) -> Result<Vec<f32>, Stop<E>> {
        if (self.interrupt)() {
            return Err(Stop::Interrupt);
        }
        let (pass, vocab_size) = (self.done, self.vocab_size);
        self.done += 1;
        let logits =
            logits().map_err(|source| Stop::Fail(SampleError::Denoiser { pass, source }))?;
        if logits.len() != positions * vocab_size {
            let actual = logits.len();
            return Err(Stop::Fail(SampleError::LogitsLength { positions, vocab_size, actual }));
        }
        Ok(logits)
    }
}

/// How the logits of a step come about.
pub(super) trait Passes {
    type Error: std::error::Error + Send + Sync + 'static;

    fn vocab_size(&self) -> usize;

    /// The logits of the masked positions of each row's current block, row by row. Each row is
    /// told what that cost.
    fn logits(
        &mut self,
        rows: &mut [Row<'_>],
        params: &DiffusionParams,
        gate: &mut Gate<'_>,
    ) -> Result<Vec<f32>, Stop<Self::Error>>;

    /// The row takes part no more.
    fn leave(&mut self, row: usize);
}

/// Every pass runs whole rows.
pub(super) struct WholeRows<'a, D>(pub(super) &'a D);

impl<D: Denoiser> WholeRows<'_, D> {
    fn pass(
        &self,
        canvas: &Canvas,
        rows: &mut [Row<'_>],
        gate: &mut Gate<'_>,
    ) -> Result<Vec<f32>, Stop<D::Error>> {
        for row in rows {
            row.charge(row.len());
        }
        gate.pass(canvas.positions.len(), || self.0.logits(&canvas.batch(), &canvas.positions))
    }
}

impl<D: Denoiser> Passes for WholeRows<'_, D> {
    type Error = D::Error;

    fn vocab_size(&self) -> usize {
        self.0.vocab_size()
    }

    fn logits(
        &mut self,
        rows: &mut [Row<'_>],
        params: &DiffusionParams,
        gate: &mut Gate<'_>,
    ) -> Result<Vec<f32>, Stop<D::Error>> {
        let mut canvas = Canvas::new(rows, params);
        let mut logits = self.pass(&canvas, rows, gate)?;
        if params.cfg_scale > 0.0 {
            canvas.mask_prompts(rows, params.mask_id);
            guide(&mut logits, &self.pass(&canvas, rows, gate)?, params.cfg_scale);
        }
        Ok(logits)
    }

    fn leave(&mut self, _: usize) {}
}

/// Passes run the part of a row that the cache mode says; rows at the start of a block and rows
/// amid one share a pass.
pub(super) struct CachedRows<'a, D: CachedDenoiser> {
    denoiser: &'a D,
    /// Tokens of the longest row.
    capacity: usize,
    /// By the index of the row.
    caches: HashMap<usize, D::Cache>,
    /// Left behind by rows that are finished.
    free: Vec<D::Cache>,
}

impl<'a, D: CachedDenoiser> CachedRows<'a, D> {
    pub(super) fn new(denoiser: &'a D, params: &DiffusionParams, prompts: &[Vec<u32>]) -> Self {
        let longest = prompts.iter().map(Vec::len).max().unwrap_or(0);
        let capacity = longest.saturating_add(params.gen_length);
        Self { denoiser, capacity, caches: HashMap::new(), free: Vec::new() }
    }
}

/// A row's part in a pass.
struct Part<C> {
    row: usize,
    cache: C,
    start: usize,
    ids: Vec<u32>,
    visible: usize,
    wanted: Vec<usize>,
}

impl<D: CachedDenoiser> Passes for CachedRows<'_, D> {
    type Error = D::Error;

    fn vocab_size(&self) -> usize {
        self.denoiser.vocab_size()
    }

    fn logits(
        &mut self,
        rows: &mut [Row<'_>],
        params: &DiffusionParams,
        gate: &mut Gate<'_>,
    ) -> Result<Vec<f32>, Stop<D::Error>> {
        let mut parts = Vec::with_capacity(rows.len());
        for row in rows {
            let mut window = row.window(params);
            if self.denoiser.shifted() {
                window.start = window.start.saturating_sub(1);
            }
            row.charge(window.len());
            let taken = self.caches.remove(&row.index).or_else(|| self.free.pop());
            parts.push(Part {
                row: row.index,
                cache: taken.unwrap_or_else(|| self.denoiser.new_cache(self.capacity)),
                start: window.start,
                ids: row.tokens(window.clone()),
                visible: row.len(),
                wanted: row
                    .masked(params)
                    .map(|position| row.prompt.len() + position - window.start)
                    .collect(),
            });
        }
        let positions = parts.iter().map(|part| part.wanted.len()).sum();
        let mut canvases: Vec<CachedCanvas<'_, D::Cache>> = (parts.iter_mut())
            .map(|Part { cache, start, ids, visible, wanted, .. }| CachedCanvas {
                cache,
                start: *start,
                ids,
                visible: *visible,
                wanted,
            })
            .collect();
        let logits = gate.pass(positions, || self.denoiser.logits_cached(&mut canvases))?;
        self.caches.extend(parts.into_iter().map(|part| (part.row, part.cache)));
        Ok(logits)
    }

    fn leave(&mut self, row: usize) {
        self.free.extend(self.caches.remove(&row));
    }
}
