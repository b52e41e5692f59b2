//! The product of packed operands by AVX-512-BF16, for processors without AMX tiles.
//!
//! One `vdpbf16ps` adds to 16 sums the products of 16 pairs with one pair of the left operand: a row
//! of a right operand's tile with a pair of a left operand's.

use super::pack::Tile;

/// Whether the processor has the instruction.
pub(crate) fn available() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        crate::cpu::simd::has_avx512() && is_x86_feature_detected!("avx512bf16")
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        false
    }
}

/// Two strips of each operand, and 32 rows of 32 values.
///
/// # Safety
/// The instruction must be [`available`]. Each strip must have `steps` tiles, and `output` 32 rows
/// of 32 writable values, `stride` apart, initialised if the product is to be added to them.
#[inline(always)]
pub(crate) unsafe fn multiply_block(
    a: [*const Tile; 2],
    b: [*const Tile; 2],
    steps: usize,
    output: *mut f32,
    stride: usize,
    add: bool,
) {
    #[cfg(target_arch = "x86_64")]
    for (half, a) in a.into_iter().enumerate() {
        for part in 0..2 {
            let row = 16 * half + ROWS * part;
            // SAFETY: the caller's promise: 8 rows of the 32, of each tile and of the output.
            unsafe {
                let to = output.add(row * stride);
                platform::rows::<ROWS>(a, ROWS * part, (b, 1), steps, to, stride, add);
            }
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        let _ = (a, b, steps, output, stride, add);
        unreachable!("the instruction is not available");
    }
}

/// `rows` rows, 1 to 16, of a strip with a panel: two strips whose tiles alternate.
///
/// # Safety
/// The instruction must be [`available`]. The strip must have `steps` tiles, the panel twice as
/// many, and `output` `rows` lines of 32 writable values.
#[inline(always)]
pub(crate) unsafe fn multiply_panel(
    x: *const Tile,
    rows: usize,
    panel: *const Tile,
    steps: usize,
    output: *mut f32,
) {
    #[cfg(target_arch = "x86_64")]
    for first in (0..rows).step_by(ROWS) {
        macro_rules! rows {
            ($($rows:literal)*) => {
                match ROWS.min(rows - first) {
                    // SAFETY: the caller's promise: these rows of the strip and the output.
                    $($rows => unsafe {
                        let (b, to) = ([panel, panel.add(1)], output.add(first * 32));
                        platform::rows::<$rows>(x, first, (b, 2), steps, to, 32, false);
                    },)*
                    _ => unreachable!("at most 8 rows"),
                }
            };
        }
        rows!(1 2 3 4 5 6 7 8);
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        let _ = (x, rows, panel, steps, output);
        unreachable!("the instruction is not available");
    }
}

/// Rows at a time: with two registers of columns each, 16 registers of sums.
const ROWS: usize = 8;

#[cfg(target_arch = "x86_64")]
mod platform {
    use super::Tile;
    use std::arch::x86_64::{
        __m512bh, __m512i, _MM_HINT_T0, _mm_prefetch, _mm512_dpbf16_ps, _mm512_loadu_ps,
        _mm512_loadu_si512, _mm512_set1_epi32, _mm512_setzero_ps, _mm512_storeu_ps,
    };

    /// Tiles of a panel asked for ahead of the sum, where there are few rows to hide their arrival.
    const AHEAD: usize = 8;

    /// Rows `first..first + ROWS` of a strip of `a`; successive tiles of each strip of `b` are
    /// `apart` tiles apart. A row's sums do not depend on how many rows there are.
    ///
    /// # Safety
    /// As for `multiply_block`, with `ROWS` rows of output.
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    #[allow(clippy::needless_range_loop)]
    pub(super) unsafe fn rows<const ROWS: usize>(
        a: *const Tile,
        first: usize,
        ([b0, b1], apart): ([*const Tile; 2], usize),
        steps: usize,
        output: *mut f32,
        stride: usize,
        add: bool,
    ) {
        // SAFETY: a tile is 16 rows of 16 pairs; the rest is the caller's promise. The vector types
        // have the same size, and every bit pattern is valid for them.
        unsafe {
            let halves = |vector: __m512i| std::mem::transmute::<__m512i, __m512bh>(vector);
            let mut sums = [[_mm512_setzero_ps(); 2]; ROWS];
            if add {
                for row in 0..ROWS {
                    let from = output.add(row * stride);
                    sums[row] = [_mm512_loadu_ps(from), _mm512_loadu_ps(from.add(16))];
                }
            }
            for step in 0..steps {
                let a = a.add(step).cast::<i32>().add(16 * first);
                let [b0, b1] = [b0, b1].map(|b| b.add(step * apart).cast::<i32>());
                for pair in 0..16 {
                    if ROWS <= 4 {
                        for b in [b0, b1] {
                            let ahead = b.wrapping_add(256 * AHEAD + 16 * pair);
                            _mm_prefetch::<_MM_HINT_T0>(ahead.cast());
                        }
                    }
                    let low = halves(_mm512_loadu_si512(b0.add(16 * pair).cast()));
                    let high = halves(_mm512_loadu_si512(b1.add(16 * pair).cast()));
                    for row in 0..ROWS {
                        let value = halves(_mm512_set1_epi32(*a.add(16 * row + pair)));
                        sums[row][0] = _mm512_dpbf16_ps(sums[row][0], value, low);
                        sums[row][1] = _mm512_dpbf16_ps(sums[row][1], value, high);
                    }
                }
            }
            for row in 0..ROWS {
                let to = output.add(row * stride);
                _mm512_storeu_ps(to, sums[row][0]);
                _mm512_storeu_ps(to.add(16), sums[row][1]);
            }
        }
    }
}
