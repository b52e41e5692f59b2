use crate::DecoderConfig;
use afterthought_kernels::{Rotary, RotaryTable};
use std::sync::{Arc, Mutex, PoisonError};

/// The rotary tables of a model, made as sequences ask for them: a model may have far more
/// positions than anyone uses.
#[derive(Debug)]
pub(crate) struct RotaryTables {
    config: DecoderConfig,
    /// For sequences whose frequencies are those of every shorter one.
    grown: Mutex<Arc<RotaryTable>>,
    /// The last one made for a sequence of another length than the others.
    stretched: Mutex<Option<(usize, Arc<RotaryTable>)>>,
}

impl RotaryTables {
    pub(crate) fn new(config: &DecoderConfig) -> Self {
        let first = Mutex::new(Arc::new(table(config, 0, 0)));
        Self { config: config.clone(), grown: first, stretched: Mutex::default() }
    }

    /// The table for a sequence of `length` positions, which the model must have. If frequencies
    /// depend on the length, keys that were rotated for a shorter sequence keep their angles, as in
    /// `transformers`.
    pub(crate) fn table(&self, length: usize) -> Arc<RotaryTable> {
        let window = self.config.max_position_embeddings;
        if self.config.rope_scaling.depends_on_length() && length > window {
            let mut last = self.stretched.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((_, table)) = last.as_ref().filter(|last| last.0 == length) {
                return table.clone();
            }
            let made = Arc::new(table(&self.config, length, length));
            *last = Some((length, made.clone()));
            return made;
        }
        self.table_of(length)
    }

    /// The table of unstretched positions.
    fn table_of(&self, length: usize) -> Arc<RotaryTable> {
        let mut grown = self.grown.lock().unwrap_or_else(PoisonError::into_inner);
        if grown.positions() < length {
            let most = self.config.max_positions();
            let positions = length.next_power_of_two().max(256).min(most).max(length);
            *grown = Arc::new(table(&self.config, 0, positions));
        }
        grown.clone()
    }

    /// Tables for rows of these lengths, padded to `width` positions.
    pub(crate) fn of_rows(&self, lengths: &[usize], width: usize) -> Rotary {
        let window = self.config.max_position_embeddings;
        let stretched = lengths.iter().any(|length| *length > window);
        match self.config.rope_scaling.depends_on_length() && stretched {
            true => Rotary::Rows(lengths.iter().map(|length| self.table(*length)).collect()),
            // Padding has no influence, so that an unstretched table serves it, too.
            false => self.table_of(width).into(),
        }
    }
}

/// Angles of `positions` positions in a sequence of `length` ones.
fn table(config: &DecoderConfig, length: usize, positions: usize) -> RotaryTable {
    let frequencies = config.rope_scaling.frequencies(config, length);
    RotaryTable::scaled(&frequencies.inverse, frequencies.attention_factor, positions)
}
