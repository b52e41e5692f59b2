//! The tile unit: detection, configuration, and the product of packed operands.
//!
//! Tile registers hold 16 rows of 64 bytes. One `tdpbf16ps` adds to a 16 x 16 tile of f32 the
//! product of a 16 x 32 tile of bf16 and a 32 x 16 one, the latter with its rows interleaved in
//! pairs. The compiler never uses the tile registers by itself; the assembly below names those it
//! overwrites all the same.

use std::marker::PhantomData;
use std::sync::LazyLock;

use super::pack::Tile;

/// Rows and columns of the output that one pass of the micro-kernel computes: two tiles each way,
/// so that each tile loaded is used twice.
pub(crate) const BLOCK: usize = 32;

/// Whether the processor has bf16 tiles and the operating system lets this process use them.
pub(crate) fn available() -> bool {
    static AVAILABLE: LazyLock<bool> = LazyLock::new(platform::request);
    *AVAILABLE
}

/// The tile unit of the current thread, configured while the value lives.
///
/// At most one may live on a thread: dropping it releases the thread's configuration, and tile
/// instructions without one fault.
pub(crate) struct TileUnit {
    /// The configuration belongs to one thread, so the value must stay there.
    not_send: PhantomData<*mut ()>,
}

impl TileUnit {
    /// Configures all eight registers as 16 rows of 64 bytes.
    pub(crate) fn configure() -> Self {
        assert!(available(), "the tile unit is not available");
        // SAFETY: the unit is available, as has just been checked.
        unsafe { platform::configure() };
        Self { not_send: PhantomData }
    }

    /// `output = a b`, with `rows x cols` values in `output`.
    ///
    /// `a` and `b` are strips of `depth` tiles: `a` has one for each 16 rows, `b` one for each 16
    /// columns, both an even number of them.
    ///
    /// Asks the caches for each block one block early, or else the stores, which are spread over
    /// many lines, wait for memory. After the last block that concerns what follows `output`,
    /// where callers that go through a matrix by rows write next.
    pub(crate) fn multiply(
        &self,
        a: &[Tile],
        b: &[Tile],
        depth: usize,
        output: &mut [f32],
        cols: usize,
    ) {
        let rows = output.len() / cols;
        assert!(depth > 0 && rows * cols == output.len(), "output of a wrong length");
        assert_eq!(a.len(), 2 * depth * rows.div_ceil(BLOCK), "left operand of a wrong length");
        assert_eq!(b.len(), 2 * depth * cols.div_ceil(BLOCK), "right operand of a wrong length");
        for (a, row) in a.chunks_exact(2 * depth).zip((0..).step_by(BLOCK)) {
            for (b, col) in b.chunks_exact(2 * depth).zip((0..).step_by(BLOCK)) {
                let start = row * cols + col;
                let next = if col + BLOCK < cols { start + BLOCK } else { (row + BLOCK) * cols };
                platform::prefetch_block(output.as_ptr().wrapping_add(next), cols);
                if row + BLOCK <= rows && col + BLOCK <= cols {
                    self.multiply_block(a, b, depth, &mut output[start..], cols);
                } else {
                    let mut block = EdgeBlock([0.0; BLOCK * BLOCK]);
                    self.multiply_block(a, b, depth, &mut block.0, BLOCK);
                    let width = BLOCK.min(cols - col);
                    let valid = output[start..].chunks_mut(cols).take(BLOCK);
                    for (to, from) in valid.zip(block.0.chunks_exact(BLOCK)) {
                        to[..width].copy_from_slice(&from[..width]);
                    }
                }
            }
        }
    }

    /// One block: two strips of each operand, and 32 rows of 32 values, `stride` apart.
    #[inline(always)]
    fn multiply_block(
        &self,
        a: &[Tile],
        b: &[Tile],
        depth: usize,
        output: &mut [f32],
        stride: usize,
    ) {
        assert!(depth > 0 && a.len() == 2 * depth && b.len() == 2 * depth);
        assert!(stride >= BLOCK && output.len() >= (BLOCK - 1) * stride + BLOCK);
        // SAFETY: `self` proves that the unit is configured on this thread; the lengths have just
        // been checked; `output` is exclusively borrowed.
        unsafe {
            platform::multiply_block(a.as_ptr(), b.as_ptr(), depth, output.as_mut_ptr(), stride);
        }
    }
}

impl Drop for TileUnit {
    fn drop(&mut self) {
        // SAFETY: the unit is available, or `configure` would not have returned.
        unsafe { platform::release() };
    }
}

/// Where a block goes that does not lie wholly inside the output.
#[repr(align(64))]
struct EdgeBlock([f32; BLOCK * BLOCK]);

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod platform {
    use std::arch::asm;
    use std::arch::x86_64::{__cpuid, __cpuid_count, _xgetbv};

    use super::Tile;

    /// The operand of `ldtilecfg`.
    #[repr(C, align(64))]
    struct Configuration {
        palette: u8,
        start_row: u8,
        reserved: [u8; 14],
        bytes_per_row: [u16; 16],
        rows: [u8; 16],
    }

    static CONFIGURATION: Configuration = Configuration {
        palette: 1,
        start_row: 0,
        reserved: [0; 14],
        bytes_per_row: [64, 64, 64, 64, 64, 64, 64, 64, 0, 0, 0, 0, 0, 0, 0, 0],
        rows: [16, 16, 16, 16, 16, 16, 16, 16, 0, 0, 0, 0, 0, 0, 0, 0],
    };

    /// Checks the processor, then asks the system for the tile registers, which Linux grants to a
    /// process (threads started earlier included) on request only.
    pub(super) fn request() -> bool {
        const OS_SAVES_STATE: u32 = 1 << 27;
        const AMX_BF16: u32 = 1 << 22;
        const AMX_TILE: u32 = 1 << 24;
        const TILE_STATE: u64 = 0b11 << 17;
        if __cpuid(0).eax < 7 || __cpuid(1).ecx & OS_SAVES_STATE == 0 {
            return false;
        }
        if __cpuid_count(7, 0).edx & (AMX_BF16 | AMX_TILE) != AMX_BF16 | AMX_TILE {
            return false;
        }
        // SAFETY: the flag tested first says that the instruction is enabled.
        if unsafe { _xgetbv(0) } & TILE_STATE != TILE_STATE {
            return false;
        }
        const ARCH_PRCTL: i64 = 158;
        const REQUEST_PERMISSION: u64 = 0x1023;
        const TILE_DATA: u64 = 18;
        let status: i64;
        // SAFETY: this call reads and writes no memory of the process; the kernel changes only the
        // registers named.
        unsafe {
            asm!(
                "syscall",
                inlateout("rax") ARCH_PRCTL => status,
                in("rdi") REQUEST_PERMISSION,
                in("rsi") TILE_DATA,
                lateout("rcx") _,
                lateout("r11") _,
                options(nostack),
            );
        }
        status == 0
    }

    /// # Safety
    /// `request` must have returned true.
    pub(super) unsafe fn configure() {
        // SAFETY: the operand is 64 readable bytes of a valid configuration.
        unsafe {
            asm!(
                "ldtilecfg [{}]",
                in(reg) &raw const CONFIGURATION,
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(nostack, readonly, preserves_flags),
            );
        }
    }

    /// # Safety
    /// `request` must have returned true.
    pub(super) unsafe fn release() {
        // SAFETY: nothing but the tile registers changes.
        unsafe {
            asm!(
                "tilerelease",
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(nostack, nomem, preserves_flags),
            );
        }
    }

    /// Announces that the block at `output` will be written. Any address will do: a prefetch
    /// neither faults nor changes what a program can see.
    #[inline(always)]
    pub(super) fn prefetch_block(output: *const f32, stride: usize) {
        for row in 0..super::BLOCK {
            // SAFETY: see above.
            unsafe {
                asm!(
                    "prefetchw [{row}]",
                    "prefetchw [{row} + 64]",
                    row = in(reg) output.wrapping_add(row * stride),
                    options(nostack, readonly, preserves_flags),
                );
            }
        }
    }

    /// # Safety
    /// The unit must be configured on this thread. `a` and `b` must each have `2 * depth` tiles,
    /// `depth` > 0, and `output` 32 rows of 32 writable values, `stride` apart.
    #[inline(always)]
    pub(super) unsafe fn multiply_block(
        a: *const Tile,
        b: *const Tile,
        depth: usize,
        output: *mut f32,
        stride: usize,
    ) {
        // The whole sum stays in one statement: no tile register carries a value from one
        // statement to another.
        // SAFETY: the loop reads `depth` tiles from each of the four strips, and writes the 32 x
        // 32 values of the output; both are the caller's promise.
        unsafe {
            asm!(
                "tilezero tmm0",
                "tilezero tmm1",
                "tilezero tmm2",
                "tilezero tmm3",
                "2:",
                "tileloadd tmm4, [{a0} + {line}*1]",
                "tileloadd tmm6, [{b0} + {line}*1]",
                "tileloadd tmm7, [{b1} + {line}*1]",
                "tileloadd tmm5, [{a1} + {line}*1]",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "tdpbf16ps tmm1, tmm4, tmm7",
                "tdpbf16ps tmm2, tmm5, tmm6",
                "tdpbf16ps tmm3, tmm5, tmm7",
                "add {a0}, 1024",
                "add {b0}, 1024",
                "add {a1}, 1024",
                "add {b1}, 1024",
                "dec {steps}",
                "jnz 2b",
                "tilestored [{out0} + {stride}*1], tmm0",
                "tilestored [{out0} + {stride}*1 + 64], tmm1",
                "tilestored [{out1} + {stride}*1], tmm2",
                "tilestored [{out1} + {stride}*1 + 64], tmm3",
                a0 = inout(reg) a => _,
                a1 = inout(reg) a.add(depth) => _,
                b0 = inout(reg) b => _,
                b1 = inout(reg) b.add(depth) => _,
                steps = inout(reg) depth => _,
                line = in(reg) 64_usize,
                out0 = in(reg) output,
                out1 = in(reg) output.add(16 * stride),
                stride = in(reg) stride * size_of::<f32>(),
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(nostack),
            );
        }
    }
}

/// Without the instructions nothing below `request` is reached.
#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
mod platform {
    use super::Tile;

    pub(super) fn request() -> bool {
        false
    }

    pub(super) unsafe fn configure() {
        unreachable!("the tile unit is not available");
    }

    pub(super) unsafe fn release() {}

    pub(super) fn prefetch_block(_: *const f32, _: usize) {}

    pub(super) unsafe fn multiply_block(
        _: *const Tile,
        _: *const Tile,
        _: usize,
        _: *mut f32,
        _: usize,
    ) {
        unreachable!("the tile unit is not available");
    }
}
