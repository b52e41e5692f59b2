//! The product of packed operands by AVX-512-BF16, for processors without tiles.
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
            let row = 16 * half + platform::ROWS * part;
            // SAFETY: the caller's promise: 8 rows of the 32, of each tile and of the output.
            unsafe {
                let to = output.add(row * stride);
                platform::rows(a, platform::ROWS * part, b, steps, to, stride, add);
            }
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        let _ = (a, b, steps, output, stride, add);
        unreachable!("the instruction is not available");
    }
}

#[cfg(target_arch = "x86_64")]
mod platform {
    use super::Tile;
    use std::arch::x86_64::{
        __m512bh, __m512i, _mm512_dpbf16_ps, _mm512_loadu_ps, _mm512_loadu_si512,
        _mm512_set1_epi32, _mm512_setzero_ps, _mm512_storeu_ps,
    };

    /// Rows at a time: with two registers of columns each, 16 registers of sums.
    pub(super) const ROWS: usize = 8;

    /// Rows `first..first + 8` of a strip of `a`.
    ///
    /// # Safety
    /// As for `multiply_block`, with 8 rows of output.
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    #[allow(clippy::needless_range_loop)]
    pub(super) unsafe fn rows(
        a: *const Tile,
        first: usize,
        [b0, b1]: [*const Tile; 2],
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
                let (b0, b1) = (b0.add(step).cast::<i32>(), b1.add(step).cast::<i32>());
                for pair in 0..16 {
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
