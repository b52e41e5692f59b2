//! The papers' experiments from nothing, at laptop scale.

pub(crate) mod d1;
mod run_dir;
