use crate::{DropoutKey, Error};
use std::sync::Arc;

/// Token ids of several sequences, right-padded to a common width.
#[derive(Clone, Debug)]
pub struct Batch {
    ids: Arc<[u32]>,
    lengths: Arc<[usize]>,
    dropout: Option<DropoutKey>,
}

impl Batch {
    /// From row-major ids (`lengths.len()` rows of equal width) and the real length of each row.
    ///
    /// # Errors
    /// [`Error::Batch`] if there is no row, the ids do not fill the rows, or a length exceeds the
    /// width.
    pub fn new(
        ids: impl Into<Arc<[u32]>>,
        lengths: impl Into<Arc<[usize]>>,
    ) -> Result<Self, Error> {
        let (ids, lengths) = (ids.into(), lengths.into());
        if lengths.is_empty() || ids.is_empty() || !ids.len().is_multiple_of(lengths.len()) {
            let problem = format!("{} ids do not fill {} rows", ids.len(), lengths.len());
            return Err(Error::Batch(problem));
        }
        let width = ids.len() / lengths.len();
        if let Some(length) = lengths.iter().find(|length| **length > width) {
            return Err(Error::Batch(format!("row length {length} exceeds the width {width}")));
        }
        Ok(Self { ids, lengths, dropout: None })
    }

    /// Pads `rows` on the right with `pad`.
    ///
    /// # Errors
    /// [`Error::Batch`] if there is no row or all are empty.
    pub fn from_rows(rows: &[Vec<u32>], pad: u32) -> Result<Self, Error> {
        let width = rows.iter().map(Vec::len).max().unwrap_or(0);
        let mut ids = Vec::with_capacity(rows.len() * width);
        for row in rows {
            ids.extend_from_slice(row);
            ids.extend(std::iter::repeat_n(pad, width - row.len()));
        }
        Self::new(ids, rows.iter().map(Vec::len).collect::<Vec<_>>())
    }

    /// The same batch for a training pass in which adapters drop inputs at random.
    #[must_use]
    pub fn with_dropout(self, key: DropoutKey) -> Self {
        Self { dropout: Some(key), ..self }
    }

    /// Which inputs of adapters a pass over the batch drops; none, if absent.
    pub fn dropout(&self) -> Option<DropoutKey> {
        self.dropout
    }

    /// Row-major ids.
    pub fn ids(&self) -> &Arc<[u32]> {
        &self.ids
    }

    /// Real length of each row.
    pub fn lengths(&self) -> &Arc<[usize]> {
        &self.lengths
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.lengths.len()
    }

    /// Positions a row, padding included.
    pub fn width(&self) -> usize {
        self.ids.len() / self.lengths.len()
    }
}
