//! Weights as their files store them.

use half::bf16;

/// The weight `[outputs, inputs]` of a linear layer as it is stored, row by row.
#[derive(Clone, Copy, Debug)]
pub enum StoredWeight<'a> {
    /// f32 values.
    F32(&'a [f32]),
    /// bf16 values.
    Bf16(&'a [bf16]),
}

impl<'a> From<&'a [f32]> for StoredWeight<'a> {
    fn from(values: &'a [f32]) -> Self {
        Self::F32(values)
    }
}

impl<'a> From<&'a [bf16]> for StoredWeight<'a> {
    fn from(values: &'a [bf16]) -> Self {
        Self::Bf16(values)
    }
}

impl<'a> StoredWeight<'a> {
    /// Number of values.
    pub fn len(&self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::Bf16(values) => values.len(),
        }
    }

    /// Whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The weights of one output.
    pub(super) fn row(&self, output: usize, inputs: usize) -> Row<'a> {
        let range = output * inputs..(output + 1) * inputs;
        match self {
            Self::F32(values) => Row::F32(&values[range]),
            Self::Bf16(values) => Row::Bf16(&values[range]),
        }
    }
}

/// The weights of one output; none stand for zeros.
#[derive(Clone, Copy)]
pub(super) enum Row<'a> {
    F32(&'a [f32]),
    Bf16(&'a [bf16]),
}

impl Row<'_> {
    /// Copies the weights as f32.
    pub(super) fn copy_to(&self, to: &mut [f32]) {
        match self {
            Self::F32([]) | Self::Bf16([]) => to.fill(0.0),
            Self::F32(values) => to.copy_from_slice(values),
            Self::Bf16(values) => {
                for (to, value) in to.iter_mut().zip(*values) {
                    *to = value.to_f32();
                }
            }
        }
    }
}
