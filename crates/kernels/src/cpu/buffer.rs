//! Output buffers that are not zeroed first.

/// A type of which every bit pattern is a value that needs no drop.
///
/// # Safety
/// Both must hold.
pub(crate) unsafe trait AnyBits {}

// SAFETY: a number.
unsafe impl AnyBits for f32 {}

/// A vector of `len` values whose contents are unspecified until the caller writes them.
///
/// Zeroing a large buffer that is about to be filled costs as much as an element-wise kernel.
/// Every caller overwrites all elements before anything reads them.
#[allow(clippy::uninit_vec)]
pub(crate) fn unfilled<T: AnyBits>(len: usize) -> Vec<T> {
    let mut buffer = Vec::with_capacity(len);
    // SAFETY: the capacity is `len`, every bit pattern is a value that needs no drop, and the
    // callers write every element before any is read; assertions where they are entered make sure
    // that their loops cover the buffer.
    unsafe { buffer.set_len(len) };
    buffer
}
