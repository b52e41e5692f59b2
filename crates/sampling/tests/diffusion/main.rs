//! Masked-diffusion decoding as its callers see it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod batching;
mod denoisers;
mod properties;
mod semantics;
