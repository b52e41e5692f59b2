//! Products that multiply in bf16 and add up in f32, on processors with AMX tiles or
//! AVX-512-BF16: linear layers and the output head; attention uses the same code.
//!
//! Inputs and outputs are f32. `pack` lays out the operands, rounded by `round`, in the order in
//! which the tiles read them; `amx` multiplies the tiles (`dot` where
//! the processor has none); `linear` and `head` divide the work among
//! threads.
//! A value is rounded once; products are exact and are summed in f32. Subnormal values count as
//! zero.

pub(crate) mod amx;
mod dot;
pub(crate) mod head;
pub(crate) mod linear;
pub(crate) mod pack;
mod round;

pub(crate) use amx::supported;
pub(crate) use pack::{Tile, depth, round_rows, rows_transposed, unfilled_tiles};
