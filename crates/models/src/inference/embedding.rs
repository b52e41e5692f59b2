use crate::WeightValues;
use afterthought_kernels::Precision;
use afterthought_kernels::inference::PackedLinear;
use half::bf16;

/// Values up to which a table is kept in f32, as in training, besides a packed head.
const SMALL: usize = 1 << 24;

/// The vectors of the tokens.
#[derive(Debug)]
pub(super) enum Embedding {
    /// In f32: small tables, and all that are not tied in f32 models.
    F32(Vec<f32>),
    /// In bf16: tables that are stored so, and large ones of bf16 models.
    Bf16(Vec<bf16>),
    /// The output head's weight.
    Head,
}

impl Embedding {
    pub(super) fn new(table: WeightValues<'_>, tied: bool, precision: Precision) -> Self {
        match (table, tied, precision) {
            (WeightValues::Bf16(table), false, _) => Self::Bf16(table.into_owned()),
            // A head in f32, or in the precision of the table, has the same values.
            (WeightValues::Bf16(_), true, _) | (_, true, Precision::F32) => Self::Head,
            (table, false, Precision::F32) => Self::F32(table.into_f32()),
            (table, _, Precision::Bf16) if table.len() <= SMALL => Self::F32(table.into_f32()),
            (_, true, Precision::Bf16) => Self::Head,
            (table, false, Precision::Bf16) => {
                let values = table.into_f32();
                Self::Bf16(values.iter().map(|value| bf16::from_f32(*value)).collect())
            }
        }
    }

    /// Copies the vector of a token.
    pub(super) fn row(&self, id: u32, head: &PackedLinear, to: &mut [f32]) {
        let range = id as usize * to.len()..(id as usize + 1) * to.len();
        match self {
            Self::F32(table) => to.copy_from_slice(&table[range]),
            Self::Bf16(table) => {
                for (to, value) in to.iter_mut().zip(&table[range]) {
                    *to = value.to_f32();
                }
            }
            Self::Head => head.row(id as usize, to),
        }
    }

    /// Bytes beside those of the head.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::F32(table) => size_of_val(&table[..]),
            Self::Bf16(table) => size_of_val(&table[..]),
            Self::Head => 0,
        }
    }
}
