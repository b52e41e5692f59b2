//! Products of packed operands, in f32 or with factors rounded to bf16: linear layers and the output
//! head; attention uses the same code.
//!
//! Inputs and outputs are f32. `pack` lays out the operands, converted by `element`, in tiles of
//! 16 lines of 64 bytes; `unit` multiplies the tiles (`amx`, `dot` and `fma` are its instructions);
//! `linear` and `head` divide the work among threads.
//! In bf16 a value is rounded once, products are exact and are summed in f32, and subnormal values
//! count as zero.

pub(crate) mod amx;
pub(crate) mod dot;
pub(crate) mod element;
mod fma;
pub(crate) mod head;
pub(crate) mod linear;
pub(crate) mod pack;
pub(crate) mod unit;

pub(crate) use element::{Bf16, Element, F32};
pub(crate) use pack::{Tile, depth, round_rows, rows_transposed, unfilled_tiles};
pub(crate) use unit::bf16_supported;
