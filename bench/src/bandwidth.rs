//! How fast the machine reads memory: what bounds decoding one sequence.

use rayon::prelude::*;

use crate::worker::{object, serve};

/// 2 GiB: more than any cache.
const WORDS: usize = 1 << 28;
/// Words that a thread reads at a time.
const CHUNK: usize = 1 << 16;

/// Serves passes over a buffer, read by all threads of the pool.
pub(crate) fn run() -> anyhow::Result<()> {
    // Written, so that the pages are there.
    let buffer: Vec<u64> = (0..WORDS as u64).into_par_iter().collect();
    serve(object([]), || {
        let read = |chunk: &[u64]| chunk.iter().fold(0, |sum: u64, word| sum.wrapping_add(*word));
        let sum = buffer.par_chunks(CHUNK).map(read).reduce(|| 0, u64::wrapping_add);
        Ok(object([("units", (WORDS * 8).into()), ("sum", sum.into())]))
    })
}
