//! The allocator: it keeps what it has, and says so when there is no more to be had.

use std::alloc::{GlobalAlloc, Layout};
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use mimalloc::MiMalloc;

/// `Exit::Failed`; the benchmark has this file too, and no exit codes of its own.
const FAILED: i32 = 1;

/// Small tensors come and go by the million: page faults of the system allocator cost a tenth of a
/// training step.
#[global_allocator]
static GLOBAL: Allocator = Allocator;

/// mimalloc; and where it has nothing to give, an error and an exit code in place of an abort.
struct Allocator;

// SAFETY: mimalloc does the work. A null pointer becomes the end of the process; nothing unwinds.
#[expect(unsafe_code, reason = "an allocator is an unsafe trait")]
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are those that mimalloc asks for; so below.
        given(unsafe { MiMalloc.alloc(layout) }, layout.size())
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        given(unsafe { MiMalloc.alloc_zeroed(layout) }, layout.size())
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above.
        given(unsafe { MiMalloc.realloc(pointer, layout, size) }, size)
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { MiMalloc.dealloc(pointer, layout) }
    }
}

#[inline]
fn given(pointer: *mut u8, size: usize) -> *mut u8 {
    if pointer.is_null() {
        out_of_memory(size);
    }
    pointer
}

/// Tells the user and ends the process: what a run had saved stays good, and nothing here knows how
/// to undo the step that asked.
#[cold]
#[expect(clippy::exit, reason = "nothing may unwind out of an allocator")]
fn out_of_memory(size: usize) -> ! {
    // Threads that fail together say it once.
    static SAID: AtomicBool = AtomicBool::new(false);
    if !SAID.swap(true, Ordering::Relaxed) {
        // Standard error has no buffer that would have to be allocated.
        let _ = writeln!(
            io::stderr(),
            "error: out of memory: {:.1} MB more were asked for and could not be had\n\
             hint: work on fewer rows at once, on shorter ones, or with a smaller model; a run goes \
             on from its last checkpoint with --resume",
            size as f64 / 1e6
        );
    }
    std::process::exit(FAILED)
}

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
