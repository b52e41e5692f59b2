//! bf16 weights in pairs of strips of tiles, read once from front to back, and their product with
//! rows of activations.
//!
//! The two tiles of a pair that cover the same part of the inner dimension are neighbours, so that
//! a panel of 32 outputs is one stream of memory. Whatever the number of rows, every output is the
//! same sequence of tile instructions over the inner dimension, hence the same sum.

use crate::cpu::tiled::amx::{self, platform as tile_unit};
use crate::cpu::tiled::{Tile, dot};
use std::marker::PhantomData;

/// Rows in a strip of a left operand.
pub(super) const STRIP: usize = 16;

/// Outputs of a panel: two strips.
pub(super) const PANEL: usize = 2 * STRIP;

/// What multiplies on the current thread: the tile unit, configured for left operands of some number
/// of rows while the value lives, or AVX-512-BF16. At most one may live on a thread.
pub(super) struct Unit {
    rows: usize,
    tiles: bool,
    /// The configuration belongs to one thread, so the value must stay there.
    not_send: PhantomData<*mut ()>,
}

impl Unit {
    /// For left operands of at most `rows` rows, 1 to 16, in a strip.
    pub(super) fn configure(rows: usize) -> Self {
        assert!((1..=STRIP).contains(&rows), "a strip has 1 to 16 rows");
        let tiles = amx::available();
        if tiles {
            // SAFETY: the unit is available and the number of rows valid, as has been checked.
            unsafe { tile_unit::configure(rows as u8) };
        } else {
            assert!(dot::available(), "the processor cannot multiply bf16 values");
        }
        Self { rows, tiles, not_send: PhantomData }
    }

    /// Products of one strip of rows with a panel: as many lines of 32 sums as the unit has rows.
    #[inline(always)]
    pub(super) fn multiply_strip(&self, block: &mut Block, x: &[Tile], panel: &[Tile]) {
        assert!(!x.is_empty() && panel.len() == 2 * x.len(), "operands of different depth");
        let (depth, output) = (x.len(), block.0.as_mut_ptr());
        // SAFETY: the unit is configured or there is the vector instruction; the operands have just
        // been checked; a block has room for two strips.
        unsafe {
            match self.tiles {
                true => platform::multiply_strip(x.as_ptr(), panel.as_ptr(), depth, output),
                false => dot::multiply_panel(x.as_ptr(), self.rows, panel.as_ptr(), depth, output),
            }
        }
    }

    /// Products of two strips of rows with a panel. Asks the caches for part `part` of `parts` of
    /// the panel that follows in memory, so that it arrives while all rows are multiplied by this
    /// one; `parts` is 1, 2 or 4, and from `part = parts` on nothing is asked for.
    #[inline(always)]
    pub(super) fn multiply_strips(
        &self,
        block: &mut Block,
        x: &[Tile],
        panel: &[Tile],
        (part, parts): (usize, usize),
    ) {
        assert!(self.rows == STRIP, "the unit is configured for fewer rows");
        assert!(!x.is_empty() && panel.len() == x.len(), "operands of different depth");
        if !self.tiles {
            let (x, lines) = (x.split_at(x.len() / 2), block.0.split_at_mut(STRIP * PANEL));
            for (x, lines) in [(x.0, lines.0), (x.1, lines.1)] {
                let (depth, panel) = (x.len(), panel.as_ptr());
                // SAFETY: as above, for each of the strips.
                unsafe {
                    dot::multiply_panel(x.as_ptr(), STRIP, panel, depth, lines.as_mut_ptr());
                }
            }
            return;
        }
        let multiply = match parts {
            _ if part >= parts => platform::multiply_strips,
            1 => platform::multiply_strips_prefetch_all,
            2 => platform::multiply_strips_prefetch_half,
            4 => platform::multiply_strips_prefetch_quarter,
            _ => panic!("{parts} parts are neither 1, 2 nor 4"),
        };
        let next = panel.as_ptr().wrapping_add(panel.len()).wrapping_byte_add(part * 2048 / parts);
        let (x, depth) = (x.as_ptr(), x.len() / 2);
        // SAFETY: as above; there are two strips, each of half the tiles. Any address can be asked
        // for.
        unsafe { multiply(x, panel.as_ptr(), depth, block.0.as_mut_ptr(), next) };
    }
}

impl Drop for Unit {
    fn drop(&mut self) {
        if self.tiles {
            // SAFETY: the unit is available, as `configure` found.
            unsafe { tile_unit::release() };
        }
    }
}

/// Sums of two strips of rows with a panel, 32 a line.
#[repr(align(64))]
pub(super) struct Block(pub(super) [f32; 2 * STRIP * PANEL]);

/// Turns a pair of strips, one after the other, into a panel.
pub(super) fn interleave(panel: &mut [Tile], strips: &[Tile]) {
    let (left, right) = strips.split_at(strips.len() / 2);
    for ((pair, left), right) in panel.as_chunks_mut::<2>().0.iter_mut().zip(left).zip(right) {
        pair[0].words_mut().copy_from_slice(left.words());
        pair[1].words_mut().copy_from_slice(right.words());
    }
}

/// Reads one output's weights back, as f32.
pub(super) fn unpack(values: &mut [f32], panel: &[Tile], output: usize) {
    let tiles = panel.as_chunks::<2>().0;
    for (values, pair) in values.chunks_mut(2 * STRIP).zip(tiles) {
        let lines = pair[output / STRIP].words().chunks_exact(STRIP);
        for (values, line) in values.chunks_mut(2).zip(lines) {
            let both = line[output % STRIP];
            for (value, bits) in values.iter_mut().zip([both << 16, both & 0xffff_0000]) {
                *value = f32::from_bits(bits);
            }
        }
    }
}

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod platform {
    use super::{STRIP, Tile};
    use std::arch::asm;

    /// Advice that may be refused: nothing depends on it but speed.
    pub(super) fn ask_for_large_pages(start: *const u8, bytes: usize) {
        const MADVISE: i64 = 28;
        const HUGE_PAGE: u64 = 14;
        const PAGE: usize = 4096;
        let first = (start as usize).next_multiple_of(PAGE);
        let last = (start as usize + bytes) / PAGE * PAGE;
        // SAFETY: this advice changes neither contents nor access rights of the pages, all of
        // which lie inside the buffer; the kernel changes only the registers named.
        unsafe {
            asm!(
                "syscall",
                inlateout("rax") MADVISE => _,
                in("rdi") first,
                in("rsi") last - first,
                in("rdx") HUGE_PAGE,
                lateout("rcx") _,
                lateout("r11") _,
                options(nostack),
            );
        }
    }

    /// Bytes of a panel asked for ahead of the sum.
    const AHEAD: usize = 4 * 2048;

    /// # Safety
    /// The unit must be configured on this thread; `x` must have `depth` > 0 tiles, `panel` twice
    /// as many, and `output` room for 16 lines of 32 values.
    #[inline(always)]
    pub(super) unsafe fn multiply_strip(
        x: *const Tile,
        panel: *const Tile,
        depth: usize,
        output: *mut f32,
    ) {
        // The whole sum stays in one statement: no tile register carries a value from one
        // statement to another. Prefetches neither fault nor change what a program can see.
        // SAFETY: reads and writes what the caller promises.
        unsafe {
            asm!(
                "tilezero tmm0",
                "tilezero tmm1",
                "2:",
                ".irp line, 0,64,128,192,256,320,384,448,512,576,640,704,768,832,896,960",
                "prefetcht0 [{panel} + {ahead} + \\line]",
                "prefetcht0 [{panel} + {ahead} + 1024 + \\line]",
                ".endr",
                "tileloadd tmm4, [{x} + {line}*1]",
                "tileloadd tmm6, [{panel} + {line}*1]",
                "tileloadd tmm7, [{panel} + {line}*1 + 1024]",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "tdpbf16ps tmm1, tmm4, tmm7",
                "add {x}, 1024",
                "add {panel}, 2048",
                "dec {steps}",
                "jnz 2b",
                "tilestored [{output} + {stride}*1], tmm0",
                "tilestored [{output} + {stride}*1 + 64], tmm1",
                x = inout(reg) x => _,
                panel = inout(reg) panel => _,
                steps = inout(reg) depth => _,
                line = in(reg) 64_usize,
                output = in(reg) output,
                stride = in(reg) super::PANEL * size_of::<f32>(),
                ahead = const AHEAD,
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(nostack),
            );
        }
    }

    /// The product of two strips with a panel, and a step's share of lines of the next panel that
    /// are asked for, as text of the assembler.
    macro_rules! multiply_strips {
        ($name:ident, $prefetch:literal) => {
            /// # Safety
            /// The unit must be configured for 16 rows on this thread; `x` and `panel` must each
            /// have twice `depth` > 0 tiles, and `output` room for 32 lines of 32 values. `next`
            /// may be any address.
            pub(super) unsafe fn $name(
                x: *const Tile,
                panel: *const Tile,
                depth: usize,
                output: *mut f32,
                next: *const Tile,
            ) {
                // SAFETY: as in `multiply_strip`.
                unsafe {
                    asm!(
                        "tilezero tmm0",
                        "tilezero tmm1",
                        "tilezero tmm2",
                        "tilezero tmm3",
                        "2:",
                        $prefetch,
                        "tileloadd tmm4, [{x0} + {line}*1]",
                        "tileloadd tmm6, [{panel} + {line}*1]",
                        "tileloadd tmm7, [{panel} + {line}*1 + 1024]",
                        "tileloadd tmm5, [{x1} + {line}*1]",
                        "tdpbf16ps tmm0, tmm4, tmm6",
                        "tdpbf16ps tmm1, tmm4, tmm7",
                        "tdpbf16ps tmm2, tmm5, tmm6",
                        "tdpbf16ps tmm3, tmm5, tmm7",
                        "add {x0}, 1024",
                        "add {x1}, 1024",
                        "add {panel}, 2048",
                        "add {next}, 2048",
                        "dec {steps}",
                        "jnz 2b",
                        "tilestored [{out0} + {stride}*1], tmm0",
                        "tilestored [{out0} + {stride}*1 + 64], tmm1",
                        "tilestored [{out1} + {stride}*1], tmm2",
                        "tilestored [{out1} + {stride}*1 + 64], tmm3",
                        x0 = inout(reg) x => _,
                        x1 = inout(reg) x.add(depth) => _,
                        panel = inout(reg) panel => _,
                        next = inout(reg) next => _,
                        steps = inout(reg) depth => _,
                        line = in(reg) 64_usize,
                        out0 = in(reg) output,
                        out1 = in(reg) output.add(STRIP * super::PANEL),
                        stride = in(reg) super::PANEL * size_of::<f32>(),
                        out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                        out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                        options(nostack),
                    );
                }
            }
        };
    }
    multiply_strips!(multiply_strips, "");
    multiply_strips!(
        multiply_strips_prefetch_all,
        ".irp at, 0,64,128,192,256,320,384,448,512,576,640,704,768,832,896,960
         prefetcht1 [{next} + \\at]
         prefetcht1 [{next} + 1024 + \\at]
         .endr"
    );
    multiply_strips!(
        multiply_strips_prefetch_half,
        ".irp at, 0,64,128,192,256,320,384,448,512,576,640,704,768,832,896,960
         prefetcht1 [{next} + \\at]
         .endr"
    );
    multiply_strips!(
        multiply_strips_prefetch_quarter,
        ".irp at, 0,64,128,192,256,320,384,448
         prefetcht1 [{next} + \\at]
         .endr"
    );
}

/// Without the instructions no unit is ever configured.
#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
mod platform {
    use super::Tile;

    pub(super) fn ask_for_large_pages(_: *const u8, _: usize) {}

    pub(super) unsafe fn multiply_strip(_: *const Tile, _: *const Tile, _: usize, _: *mut f32) {
        unreachable!("the tile unit is not available");
    }

    pub(super) unsafe fn multiply_strips(
        _: *const Tile,
        _: *const Tile,
        _: usize,
        _: *mut f32,
        _: *const Tile,
    ) {
        unreachable!("the tile unit is not available");
    }

    pub(super) use multiply_strips as multiply_strips_prefetch_all;
    pub(super) use multiply_strips as multiply_strips_prefetch_half;
    pub(super) use multiply_strips as multiply_strips_prefetch_quarter;
}

/// Asks the system to back a large buffer that nothing has been written to yet by large pages:
/// reading a weight from end to end spends a noticeable part of its time on small ones.
pub(super) fn ask_for_large_pages<T>(buffer: &[T]) {
    if size_of_val(buffer) >= 4 << 20 {
        platform::ask_for_large_pages(buffer.as_ptr().cast(), size_of_val(buffer));
    }
}
