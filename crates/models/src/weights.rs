use afterthought_kernels::inference::StoredWeight;
use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use std::borrow::Cow;

/// The values of a tensor as they are stored, borrowed from a file where that is possible.
#[derive(Clone, Debug, PartialEq)]
pub enum WeightValues<'a> {
    /// Single precision.
    F32(Cow<'a, [f32]>),
    /// Half precision.
    F16(Cow<'a, [f16]>),
    /// Brain floating point.
    Bf16(Cow<'a, [bf16]>),
}

impl From<Vec<f32>> for WeightValues<'_> {
    fn from(values: Vec<f32>) -> Self {
        Self::F32(Cow::Owned(values))
    }
}

impl<'a> WeightValues<'a> {
    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::F16(values) => values.len(),
            Self::Bf16(values) => values.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The values in single precision, which holds all of them exactly.
    pub fn into_f32(self) -> Vec<f32> {
        match self {
            Self::F32(values) => values.into_owned(),
            other => {
                let mut values = Vec::with_capacity(other.len());
                other.append_to(&mut values);
                values
            }
        }
    }

    /// The values in a type that packed weights can keep: half precision becomes single.
    pub(crate) fn packable(self) -> Packable<'a> {
        match self {
            Self::Bf16(values) => Packable::Bf16(values),
            Self::F32(values) => Packable::F32(values),
            Self::F16(_) => Packable::F32(Cow::Owned(self.into_f32())),
        }
    }

    /// Appends the values in single precision.
    pub fn append_to(&self, to: &mut Vec<f32>) {
        let start = to.len();
        to.resize(start + self.len(), 0.0);
        self.write_to(0, &mut to[start..]);
    }

    /// Writes the values from `first` on in single precision, as many as `to` takes.
    ///
    /// # Panics
    /// If there are not so many.
    pub fn write_to(&self, first: usize, to: &mut [f32]) {
        let range = first..first + to.len();
        match self {
            Self::F32(values) => to.copy_from_slice(&values[range]),
            Self::F16(values) => values[range].convert_to_f32_slice(to),
            Self::Bf16(values) => values[range].convert_to_f32_slice(to),
        }
    }
}

/// Values in a type that packed weights can keep.
pub(crate) enum Packable<'a> {
    F32(Cow<'a, [f32]>),
    Bf16(Cow<'a, [bf16]>),
}

impl Packable<'_> {
    /// As a packed weight takes them.
    pub(crate) fn stored(&self) -> StoredWeight<'_> {
        match self {
            Self::F32(values) => StoredWeight::F32(values),
            Self::Bf16(values) => StoredWeight::Bf16(values),
        }
    }
}
