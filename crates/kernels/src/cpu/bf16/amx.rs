//! The tile unit: detection, configuration, and the product of packed operands; `dot.rs` stands in
//! where the processor has no tiles.
//!
//! Tile registers hold 16 rows of 64 bytes. One `tdpbf16ps` adds to a 16 x 16 tile of f32 the
//! product of a 16 x 32 tile of bf16 and a 32 x 16 one, the latter with its rows interleaved in
//! pairs. The compiler never uses the tile registers by itself; the assembly below names those it
//! overwrites all the same.

use std::marker::PhantomData;
use std::sync::LazyLock;

use super::dot;
use super::pack::Tile;
use crate::cpu::matmul::Write;

/// Rows and columns of the output that one pass of the micro-kernel computes: two tiles each way,
/// so that each tile loaded is used twice.
pub(crate) const BLOCK: usize = 32;

/// Whether the processor has bf16 tiles and the operating system lets this process use them.
pub(crate) fn available() -> bool {
    static AVAILABLE: LazyLock<bool> = LazyLock::new(platform::request);
    *AVAILABLE
}

/// Whether the processor can multiply packed operands, with tiles or without.
pub(crate) fn supported() -> bool {
    available() || dot::available()
}

/// What multiplies packed operands on the current thread: the tile unit, configured while the value
/// lives, or vector instructions.
///
/// At most one may live on a thread: dropping it releases the thread's configuration, and tile
/// instructions without one fault.
pub(crate) struct TileUnit {
    tiles: bool,
    /// The configuration belongs to one thread, so the value must stay there.
    not_send: PhantomData<*mut ()>,
}

impl TileUnit {
    /// Configures all eight registers as 16 rows of 64 bytes, if the processor has them.
    pub(crate) fn configure() -> Self {
        let unit = Self { tiles: available(), not_send: PhantomData };
        if unit.tiles {
            // SAFETY: the unit is available, as has just been checked.
            unsafe { platform::configure(16) };
        } else {
            assert!(dot::available(), "the processor cannot multiply bf16 matrices");
        }
        unit
    }

    /// Vector instructions, even where there are tiles.
    #[cfg(test)]
    fn vectors() -> Self {
        assert!(dot::available(), "the processor has no bf16 vector instructions");
        Self { tiles: false, not_send: PhantomData }
    }

    /// `output = a b`, or `output += a b`, where `a` has a strip for each 16 rows of the output, `b`
    /// one for each 16 columns, both an even number of them.
    ///
    /// Asks the caches for each block one block early, or else the stores, which are spread over
    /// many lines, wait for memory. After the last block that concerns what follows the output,
    /// where callers that go through a matrix by rows write next.
    pub(crate) fn multiply(&self, a: Strips<'_>, b: Strips<'_>, output: Output<'_>, write: Write) {
        let Output { data, rows, cols, stride } = output;
        assert!(a.steps > 0 && a.steps == b.steps, "operands of different depth");
        assert!(a.covers(rows) && b.covers(cols), "an operand has too few strips");
        assert!(stride >= cols && (rows - 1) * stride + cols <= data.len(), "output too short");
        for row in (0..rows).step_by(BLOCK) {
            let a = a.pair(row / BLOCK);
            for col in (0..cols).step_by(BLOCK) {
                let start = row * stride + col;
                let next = if col + BLOCK < cols { start + BLOCK } else { start + BLOCK * stride };
                platform::prefetch_block(data.as_ptr().wrapping_add(next), stride);
                let b = b.pair(col / BLOCK);
                if row + BLOCK <= rows && col + BLOCK <= cols {
                    self.multiply_block(a, b, &mut data[start..], stride, write);
                } else {
                    let (height, width) = (BLOCK.min(rows - row), BLOCK.min(cols - col));
                    let mut block = EdgeBlock([0.0; BLOCK * BLOCK]);
                    let valid = data[start..].chunks_mut(stride).take(height);
                    let lines = block.0.chunks_exact_mut(BLOCK);
                    if write == Write::Add {
                        for (from, to) in valid.zip(lines) {
                            to[..width].copy_from_slice(&from[..width]);
                        }
                    }
                    self.multiply_block(a, b, &mut block.0, BLOCK, write);
                    let valid = data[start..].chunks_mut(stride).take(height);
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
        a: Strips<'_>,
        b: Strips<'_>,
        output: &mut [f32],
        stride: usize,
        write: Write,
    ) {
        let steps = a.steps;
        assert!(steps > 0 && b.steps == steps && a.covers(BLOCK) && b.covers(BLOCK));
        assert!(stride >= BLOCK && output.len() >= (BLOCK - 1) * stride + BLOCK);
        let ([a0, a1], [b0, b1]) = (a.pointers(), b.pointers());
        let add = write == Write::Add;
        // SAFETY: `self` proves that the unit is configured on this thread, or that there are vector
        // instructions; the lengths have just been checked; `output` is exclusively borrowed.
        unsafe {
            if self.tiles {
                let output = output.as_mut_ptr();
                platform::multiply_block([a0, a1], [b0, b1], steps, output, stride, add);
            } else {
                dot::multiply_block([a0, a1], [b0, b1], steps, output.as_mut_ptr(), stride, add);
            }
        }
    }
}

/// Strips of tiles, of which a product uses some successive steps of the inner dimension.
#[derive(Clone, Copy)]
pub(crate) struct Strips<'a> {
    tiles: &'a [Tile],
    /// Tiles from one strip to the next.
    depth: usize,
    first: usize,
    steps: usize,
}

impl<'a> Strips<'a> {
    /// Strips of `depth` tiles each, all of which are used.
    pub(crate) fn new(tiles: &'a [Tile], depth: usize) -> Self {
        Self { tiles, depth, first: 0, steps: depth }
    }

    /// The same strips with only `steps` tiles of each, from tile `first`.
    pub(crate) fn steps(self, first: usize, steps: usize) -> Self {
        assert!(first + steps <= self.depth, "a strip has {} tiles", self.depth);
        Self { first, steps, ..self }
    }

    /// The strips from the one that begins at row or column `outer`, a multiple of 32.
    pub(crate) fn starting_at(self, outer: usize) -> Self {
        assert!(outer.is_multiple_of(BLOCK), "strips come in pairs");
        Self { tiles: &self.tiles[2 * self.depth * (outer / BLOCK)..], ..self }
    }

    /// Whether there are strips for `outer` rows or columns.
    fn covers(&self, outer: usize) -> bool {
        outer > 0 && self.tiles.len() >= 2 * self.depth * outer.div_ceil(BLOCK)
    }

    /// The strips of 32 rows or columns.
    fn pair(self, index: usize) -> Self {
        Self { tiles: &self.tiles[2 * self.depth * index..2 * self.depth * (index + 1)], ..self }
    }

    /// Where the first two strips begin.
    fn pointers(&self) -> [*const Tile; 2] {
        [self.first, self.depth + self.first].map(|first| self.tiles[first..].as_ptr())
    }
}

/// Where a product goes: `rows` of `cols` values, `stride` apart.
pub(crate) struct Output<'a> {
    pub(crate) data: &'a mut [f32],
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    pub(crate) stride: usize,
}

impl<'a> Output<'a> {
    /// Rows without gaps.
    pub(crate) fn dense(data: &'a mut [f32], cols: usize) -> Self {
        let rows = data.len() / cols;
        assert_eq!(rows * cols, data.len(), "ragged rows");
        Self { data, rows, cols, stride: cols }
    }
}

impl Drop for TileUnit {
    fn drop(&mut self) {
        if self.tiles {
            // SAFETY: the unit is available, as `configure` found.
            unsafe { platform::release() };
        }
    }
}

/// Where a block goes that does not lie wholly inside the output.
#[repr(align(64))]
struct EdgeBlock([f32; BLOCK * BLOCK]);

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
pub(crate) mod platform {
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
    /// The unit must be configured on this thread. Each strip of `a` and `b` must have `steps`
    /// tiles, `steps` > 0, and `output` 32 rows of 32 writable values, `stride` apart, initialised
    /// if the product is to be added to them.
    #[inline(always)]
    pub(super) unsafe fn multiply_block(
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

    pub(super) fn prefetch_block(_: *const f32, _: usize) {}

    pub(super) unsafe fn multiply_block(
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

#[cfg(test)]
mod tests {
    use super::super::pack;
    use super::*;

    #[test]
    fn vectors_stand_in_for_tiles() {
        if !available() || !dot::available() {
            return;
        }
        let values = |len: usize, salt: usize| -> Vec<f32> {
            (0..len).map(|i| ((i * 7919 + salt) as f32 * 0.618).sin()).collect()
        };
        for (rows, inner, cols) in [(1, 1, 1), (33, 70, 47), (64, 128, 96)] {
            let mut a = pack::unfilled_tiles(pack::tiles(rows, inner));
            pack::rows(&mut a, &values(rows * inner, 1), inner, inner);
            let mut b = pack::unfilled_tiles(pack::tiles(cols, inner));
            pack::rows_transposed(&mut b, &values(cols * inner, 2), inner, inner);
            for write in [Write::Replace, Write::Add] {
                let product = |unit: TileUnit| {
                    let mut output = values(rows * cols, 3);
                    let depth = pack::depth(inner);
                    let (a, b) = (Strips::new(&a, depth), Strips::new(&b, depth));
                    unit.multiply(a, b, Output::dense(&mut output, cols), write);
                    output
                };
                let (tiles, vectors) =
                    (product(TileUnit::configure()), product(TileUnit::vectors()));
                for (tile, vector) in tiles.iter().zip(&vectors) {
                    assert!((tile - vector).abs() < 1e-4, "{tile} by tiles, {vector} by vectors");
                }
            }
        }
    }
}
