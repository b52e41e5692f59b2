//! The allocator, told to keep what it has.

/// Small tensors come and go by the million: page faults of the system allocator cost a tenth of a
/// training step.
#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Keeps freed memory for the next step instead of giving it back to the system, which would have to
/// clear the same pages again: an eighth of a training step, at no higher peak. A setting of
/// `MIMALLOC_PURGE_DELAY` in the environment stands.
pub(crate) fn keep_freed_memory() {
    /// `mi_option_purge_delay` of `mimalloc.h`; -1 is never.
    const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;
    if std::env::var_os("MIMALLOC_PURGE_DELAY").is_none() {
        // SAFETY: the option exists in every version of the library that the lock file admits, and
        // setting an option has no other requirement.
        #[expect(unsafe_code, reason = "the allocator has no safe interface for its options")]
        unsafe {
            libmimalloc_sys::mi_option_set(PURGE_DELAY, -1);
        }
    }
}
