//! The AMX tile unit: detection, configuration, and the product of a block.
//!
//! Tile registers hold 16 rows of 64 bytes. One `tdpbf16ps` adds to a 16 x 16 tile of f32 the
//! product of a 16 x 32 tile of bf16 and a 32 x 16 one, the latter with its rows interleaved in
//! pairs. The compiler never uses the tile registers by itself; the assembly below names those it
//! overwrites all the same.

use std::sync::LazyLock;

use super::pack::Tile;

/// Whether the processor has bf16 tiles and the operating system lets this process use them.
pub(crate) fn available() -> bool {
    static AVAILABLE: LazyLock<bool> = LazyLock::new(platform::request);
    *AVAILABLE
}

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
pub(crate) mod platform {
    use std::arch::asm;
    use std::arch::x86_64::{__cpuid, __cpuid_count, _xgetbv};

    use super::super::unit::BLOCK;
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

    /// All registers have rows of 64 bytes; those of left operands and sums have `rows` of them,
    /// those of right operands (6 and 7) all 16.
    ///
    /// # Safety
    /// `request` must have returned true, and `rows` be 1 to 16.
    pub(crate) unsafe fn configure(rows: u8) {
        let configuration = Configuration {
            palette: 1,
            start_row: 0,
            reserved: [0; 14],
            bytes_per_row: [64, 64, 64, 64, 64, 64, 64, 64, 0, 0, 0, 0, 0, 0, 0, 0],
            rows: [rows, rows, rows, rows, rows, rows, 16, 16, 0, 0, 0, 0, 0, 0, 0, 0],
        };
        // SAFETY: the operand is 64 readable bytes of a valid configuration.
        unsafe {
            asm!(
                "ldtilecfg [{}]",
                in(reg) &raw const configuration,
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(nostack, readonly, preserves_flags),
            );
        }
    }

    /// # Safety
    /// `request` must have returned true.
    pub(crate) unsafe fn release() {
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
    pub(crate) fn prefetch_block(output: *const f32, stride: usize) {
        for row in 0..BLOCK {
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
    /// The unit must be configured on this thread. Each strip of `a` and `b` must have `steps`
    /// tiles, `steps` > 0, and `output` 32 rows of 32 writable values, `stride` apart, initialised
    /// if the product is to be added to them.
    #[inline(always)]
    pub(crate) unsafe fn multiply_block(
        [a0, a1]: [*const Tile; 2],
        [b0, b1]: [*const Tile; 2],
        steps: usize,
        output: *mut f32,
        stride: usize,
        add: bool,
    ) {
        // The whole sum stays in one statement: no tile register carries a value from one
        // statement to another.
        macro_rules! block {
            ($($begin:literal),*) => {
                // SAFETY: the loop reads `steps` tiles from each of the four strips, and reads and
                // writes the 32 x 32 values of the output; all are the caller's promise.
                unsafe {
                    asm!(
                        $($begin,)*
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
                        a0 = inout(reg) a0 => _,
                        a1 = inout(reg) a1 => _,
                        b0 = inout(reg) b0 => _,
                        b1 = inout(reg) b1 => _,
                        steps = inout(reg) steps => _,
                        line = in(reg) 64_usize,
                        out0 = in(reg) output,
                        out1 = in(reg) output.add(16 * stride),
                        stride = in(reg) stride * size_of::<f32>(),
                        out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                        out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                        options(nostack),
                    );
                }
            };
        }
        if add {
            block!(
                "tileloadd tmm0, [{out0} + {stride}*1]",
                "tileloadd tmm1, [{out0} + {stride}*1 + 64]",
                "tileloadd tmm2, [{out1} + {stride}*1]",
                "tileloadd tmm3, [{out1} + {stride}*1 + 64]"
            );
        } else {
            block!("tilezero tmm0", "tilezero tmm1", "tilezero tmm2", "tilezero tmm3");
        }
    }
}

/// Without the instructions nothing below `request` is reached.
#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
pub(crate) mod platform {
    use super::Tile;

    pub(super) fn request() -> bool {
        false
    }

    pub(crate) unsafe fn configure(_: u8) {
        unreachable!("the tile unit is not available");
    }

    pub(crate) unsafe fn release() {}

    pub(crate) fn prefetch_block(_: *const f32, _: usize) {}

    pub(crate) unsafe fn multiply_block(
        _: [*const Tile; 2],
        _: [*const Tile; 2],
        _: usize,
        _: *mut f32,
        _: usize,
        _: bool,
    ) {
        unreachable!("the tile unit is not available");
    }
}
