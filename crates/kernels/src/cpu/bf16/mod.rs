//! Linear layers that multiply in bf16 and add up in f32, on processors with AMX tiles.
//!
//! Inputs and outputs are f32. `pack` lays out the operands, rounded by `round`, in the order in
//! which the tiles read them; `amx` multiplies the tiles; `linear` divides the work among threads.
//! A value is rounded once; products are exact and are summed in f32. Subnormal values count as
//! zero.

mod amx;
mod linear;
mod pack;
mod round;

pub(crate) use linear::{backward_input, backward_weight, forward, supported};
