//! The header of a safetensors file, checked before anything is made of it.
//!
//! Stricter than the reference reader (safetensors 0.8), which lets a name occur twice, a shape
//! such as `[0, 2^64 - 1]` pass, and any number of tensors.

use afterthought_strict_json::{Entries, Keyed};
use serde::de::{Deserialize, Deserializer};
use std::ops::Range;

/// Most bytes of a header.
const MAX_HEADER: u64 = 100_000_000;
/// Most tensors of a file.
const MAX_TENSORS: usize = 100_000;
/// Most dimensions of a tensor.
const MAX_RANK: usize = 8;
/// Largest dimension.
const MAX_DIM: u64 = 1 << 40;
/// Longest name of a tensor, in bytes.
const MAX_NAME: usize = 4096;

/// How values are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum StoredType {
    F32,
    F16,
    Bf16,
    /// A type that weights cannot have here, by its name and size in bits.
    Other(&'static str, u64),
}

impl StoredType {
    const ALL: [Self; 22] = [
        Self::F32,
        Self::F16,
        Self::Bf16,
        Self::Other("F64", 64),
        Self::Other("I64", 64),
        Self::Other("U64", 64),
        Self::Other("C64", 64),
        Self::Other("I32", 32),
        Self::Other("U32", 32),
        Self::Other("I16", 16),
        Self::Other("U16", 16),
        Self::Other("I8", 8),
        Self::Other("U8", 8),
        Self::Other("BOOL", 8),
        Self::Other("F8_E4M3", 8),
        Self::Other("F8_E5M2", 8),
        Self::Other("F8_E4M3FNUZ", 8),
        Self::Other("F8_E5M2FNUZ", 8),
        Self::Other("F8_E8M0", 8),
        Self::Other("F6_E2M3", 6),
        Self::Other("F6_E3M2", 6),
        Self::Other("F4", 4),
    ];

    /// Its name in a header.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::Bf16 => "BF16",
            Self::Other(name, _) => name,
        }
    }

    /// Bits of a value.
    pub fn bits(self) -> u64 {
        match self {
            Self::F32 => 32,
            Self::F16 | Self::Bf16 => 16,
            Self::Other(_, bits) => bits,
        }
    }
}

/// One tensor of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorEntry {
    /// Its name.
    pub name: String,
    /// How its values are stored.
    pub dtype: StoredType,
    /// Its dimensions, slowest first.
    pub shape: Vec<usize>,
    /// Its bytes in the file, the header included.
    pub range: Range<usize>,
}

/// What is wrong with a header. Positions are bytes; tensors are named.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum HeaderError {
    #[error("it has {0} bytes, too few for a header")]
    TooShort(u64),
    #[error(
        "it claims a header of {claimed} bytes; the file has {file}, and the most is {MAX_HEADER}"
    )]
    HeaderSize { claimed: u64, file: u64 },
    #[error("its header is malformed")]
    Json(#[source] serde_json::Error),
    #[error("it has {0} tensors; the most is {MAX_TENSORS}")]
    TooMany(usize),
    #[error("it names a tensor with {0} bytes; the most is {MAX_NAME}")]
    LongName(usize),
    #[error("tensor {name:?} has type {dtype:?}, which is not known")]
    UnknownType { name: String, dtype: String },
    #[error("tensor {name:?} has {rank} dimensions; the most is {MAX_RANK}")]
    Rank { name: String, rank: usize },
    #[error("tensor {name:?} has a dimension of {dim}; the most is {MAX_DIM}")]
    Dimension { name: String, dim: u64 },
    #[error("tensor {name:?} of {dtype} {shape:?} has bytes {start} to {end}, which does not fit")]
    Size { name: String, dtype: &'static str, shape: Vec<u64>, start: u64, end: u64 },
    #[error("tensor {name:?} begins at byte {start} of the data; expected {expected}: {what}")]
    Layout { name: String, start: u64, expected: u64, what: &'static str },
    #[error("it has {data} bytes of data; its tensors end at byte {end}")]
    Data { data: u64, end: u64 },
}

/// A tensor as the header describes it.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Described {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: [u64; 2],
}

/// An entry of the header.
enum Item {
    Tensor(Described),
    /// `__metadata__`: texts by name.
    Metadata,
}

/// The tensors of a file of `file_len` bytes that begins with `start`, in the order of their data.
/// `start` need not be more than the header.
///
/// # Errors
/// [`HeaderError`]. Nothing is allocated that the header's own length does not bound.
pub fn parse_header(start: &[u8], file_len: u64) -> Result<Vec<TensorEntry>, HeaderError> {
    let Some((size, rest)) = start.split_first_chunk::<8>() else {
        return Err(HeaderError::TooShort(file_len));
    };
    let claimed = u64::from_le_bytes(*size);
    let room = file_len.saturating_sub(8);
    let text = usize::try_from(claimed).ok().and_then(|size| rest.get(..size));
    let (true, Some(text)) = (claimed <= MAX_HEADER && claimed <= room, text) else {
        return Err(HeaderError::HeaderSize { claimed, file: file_len });
    };
    let items: Entries<Item> = serde_json::from_slice(text).map_err(HeaderError::Json)?;
    if items.0.len() > MAX_TENSORS {
        return Err(HeaderError::TooMany(items.0.len()));
    }
    let mut tensors: Vec<(TensorEntry, [u64; 2])> = Vec::with_capacity(items.0.len());
    for (name, item) in items.0 {
        if let Item::Tensor(described) = item {
            let offsets = described.data_offsets;
            tensors.push((entry(name, described, 8 + claimed)?, offsets));
        }
    }
    // Empty tensors stand before what begins where they do.
    tensors.sort_by_key(|(_, offsets)| *offsets);
    let mut expected = 0;
    for (entry, [start, end]) in &tensors {
        if *start != expected {
            let what = if *start < expected { "it overlaps another" } else { "there is a hole" };
            let (name, start) = (entry.name.clone(), *start);
            return Err(HeaderError::Layout { name, start, expected, what });
        }
        expected = *end;
    }
    let data = room - claimed;
    if data != expected {
        return Err(HeaderError::Data { data, end: expected });
    }
    Ok(tensors.into_iter().map(|(entry, _)| entry).collect())
}

fn entry(name: String, described: Described, data: u64) -> Result<TensorEntry, HeaderError> {
    let Described { dtype, shape, data_offsets: [start, end] } = described;
    if name.len() > MAX_NAME {
        return Err(HeaderError::LongName(name.len()));
    }
    let Some(dtype) = StoredType::ALL.into_iter().find(|known| known.name() == dtype) else {
        let dtype = dtype.chars().take(40).collect();
        return Err(HeaderError::UnknownType { name, dtype });
    };
    if shape.len() > MAX_RANK {
        return Err(HeaderError::Rank { name, rank: shape.len() });
    }
    if let Some(dim) = shape.iter().copied().find(|dim| *dim > MAX_DIM) {
        return Err(HeaderError::Dimension { name, dim });
    }
    let bits = shape.iter().try_fold(dtype.bits(), |bits, dim| bits.checked_mul(*dim));
    let bytes = bits.filter(|bits| bits.is_multiple_of(8)).map(|bits| bits / 8);
    let place = |offset: u64| offset.checked_add(data).and_then(|at| usize::try_from(at).ok());
    let sizes: Option<Vec<usize>> = shape.iter().map(|dim| usize::try_from(*dim).ok()).collect();
    match (place(start), place(end), sizes) {
        (Some(first), Some(last), Some(shape))
            if end.checked_sub(start).is_some_and(|length| Some(length) == bytes) =>
        {
            Ok(TensorEntry { name, dtype, shape, range: first..last })
        }
        _ => Err(HeaderError::Size { name, dtype: dtype.name(), shape, start, end }),
    }
}

/// What an entry is depends on its name, so values are read by a function of it.
impl Keyed for Item {
    fn read<'de, D: Deserializer<'de>>(key: &str, value: D) -> Result<Self, D::Error> {
        if key == "__metadata__" {
            Entries::<Text>::deserialize(value)?;
            return Ok(Self::Metadata);
        }
        Ok(Self::Tensor(Described::deserialize(value)?))
    }
}

/// A text that nobody asks for.
struct Text;

impl Keyed for Text {
    fn read<'de, D: Deserializer<'de>>(_: &str, value: D) -> Result<Self, D::Error> {
        String::deserialize(value).map(|_| Self)
    }
}
