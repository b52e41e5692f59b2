//! Sharing out work among threads, and outputs whose parts are not contiguous.

use rayon::prelude::*;
use std::marker::PhantomData;
use std::ops::Range;

/// Runs `task` over `0..count` in contiguous ranges: on one thread if `cost` (bytes or operations)
/// is small, as waking another takes some microseconds.
pub(super) fn ranges(count: usize, cost: usize, task: impl Fn(Range<usize>) + Sync) {
    const WORTH_THREADS: usize = 1 << 17;
    let threads = rayon::current_num_threads();
    if count <= 1 || threads == 1 || cost < WORTH_THREADS {
        task(0..count);
        return;
    }
    // More parts than threads, so that a thread that is held up gives some away.
    let parts = (4 * threads).min(count);
    (0..parts)
        .into_par_iter()
        .for_each(|part| task(part * count / parts..(part + 1) * count / parts));
}

/// A slice that several threads write to, each in its own places.
pub(super) struct Scattered<'a> {
    start: *mut f32,
    len: usize,
    borrowed: PhantomData<&'a mut [f32]>,
}

// SAFETY: the only access is `get`, whose callers promise not to overlap.
unsafe impl Sync for Scattered<'_> {}

impl<'a> Scattered<'a> {
    pub(super) fn new(values: &'a mut [f32]) -> Self {
        Self { start: values.as_mut_ptr(), len: values.len(), borrowed: PhantomData }
    }

    /// The values at `range`.
    ///
    /// # Safety
    /// No two slices that live at the same time may overlap.
    #[inline(always)]
    #[allow(clippy::mut_from_ref)]
    pub(super) unsafe fn get(&self, range: Range<usize>) -> &mut [f32] {
        assert!(range.start <= range.end && range.end <= self.len, "range outside the output");
        // SAFETY: inside the borrowed slice; no overlap is the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(range.start), range.len()) }
    }
}
