//! Masked-diffusion decoding as its callers see it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod batching;
mod cached;
mod denoisers;
mod layered;
mod parallel;
mod properties;
mod semantics;
