//! The encoder-decoder: its logits, its gradients, its files and its caches.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, clippy::print_stderr)]

mod files;
mod forward;
mod golden;
mod gradients;
mod inference;
mod tiny;
