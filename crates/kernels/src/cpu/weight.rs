//! Weights in the precision they are stored in: f32 where they are trained, bf16 where they are
//! frozen and came so.

use super::buffer::unfilled;
use super::simd::vectorised;
use half::bf16;
use std::borrow::Cow;
use std::ops::Range;

/// The values of a weight, row by row.
#[derive(Clone, Copy)]
pub(crate) enum Weight<'a> {
    F32(&'a [f32]),
    Bf16(&'a [bf16]),
}

impl<'a> From<&'a [f32]> for Weight<'a> {
    fn from(values: &'a [f32]) -> Self {
        Self::F32(values)
    }
}

impl<'a> Weight<'a> {
    /// Number of values.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::Bf16(values) => values.len(),
        }
    }

    /// Some of the values.
    pub(crate) fn part(&self, range: Range<usize>) -> Self {
        match self {
            Self::F32(values) => Self::F32(&values[range]),
            Self::Bf16(values) => Self::Bf16(&values[range]),
        }
    }

    /// The values in f32, which holds every bf16 value.
    pub(crate) fn widened(&self) -> Cow<'a, [f32]> {
        match self {
            Self::F32(values) => Cow::Borrowed(values),
            Self::Bf16(values) => {
                let mut output = unfilled(values.len());
                widen(&mut output, values);
                Cow::Owned(output)
            }
        }
    }

    /// Writes the values as f32 to as many places.
    pub(crate) fn write(&self, output: &mut [f32]) {
        match self {
            Self::F32(values) => output.copy_from_slice(values),
            Self::Bf16(values) => widen(output, values),
        }
    }
}

vectorised! {
    fn widen(output: &mut [f32], values: &[bf16]) {
        assert_eq!(output.len(), values.len(), "as many places as values");
        for (output, value) in output.iter_mut().zip(values) {
            *output = f32::from_bits(u32::from(value.to_bits()) << 16);
        }
    }
}
