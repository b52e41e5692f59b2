use super::denoiser::CanvasBatch;
use super::params::DiffusionParams;
use super::row::Row;

/// The batch of the rows that take part in one step.
#[derive(Debug)]
pub(super) struct Canvas {
    ids: Vec<u32>,
    width: usize,
    lengths: Vec<usize>,
    /// Flat indices of the masked positions of each row's current block, ascending.
    pub(super) positions: Vec<u32>,
}

impl Canvas {
    /// Lays out `rows`, right-padded to the longest.
    pub(super) fn new(rows: &[Row<'_>], params: &DiffusionParams) -> Self {
        let lengths: Vec<usize> = rows.iter().map(Row::len).collect();
        let width = lengths.iter().copied().max().unwrap_or(0);
        let mut ids = Vec::with_capacity(rows.len() * width);
        let mut positions = Vec::new();
        for row in rows {
            let start = ids.len();
            ids.extend_from_slice(row.prompt);
            let completion = ids.len();
            ids.extend_from_slice(&row.completion);
            ids.resize(start + width, params.pad_id);
            // Validation makes sure that every cell fits 32 bits.
            positions.extend(row.masked(params).map(|position| (completion + position) as u32));
        }
        Self { ids, width, lengths, positions }
    }

    /// Masks every prompt token: the canvas of the unconditional pass.
    pub(super) fn mask_prompts(&mut self, rows: &[Row<'_>], mask_id: u32) {
        for (cells, row) in self.ids.chunks_exact_mut(self.width).zip(rows) {
            cells[..row.prompt.len()].fill(mask_id);
        }
    }

    pub(super) fn batch(&self) -> CanvasBatch<'_> {
        CanvasBatch { ids: &self.ids, width: self.width, lengths: &self.lengths }
    }
}
