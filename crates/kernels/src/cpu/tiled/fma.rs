//! The product of packed f32 operands by fused multiply-adds.
//!
//! Each sum runs over the inner dimension in its order, one rounding a step, whatever the width of
//! the registers.

use super::pack::Tile;

/// Values in a line of a tile.
const LINE: usize = 16;

/// Two strips of each operand, and 32 rows of 32 values.
///
/// # Safety
/// Each strip must have `steps` tiles, and `output` 32 rows of 32 writable values, `stride` apart,
/// initialised if the product is to be added to them.
#[inline(always)]
pub(crate) unsafe fn multiply_block(
    a: [*const Tile; 2],
    b: [*const Tile; 2],
    steps: usize,
    output: *mut f32,
    stride: usize,
    add: bool,
) {
    for (half, a) in a.into_iter().enumerate() {
        // SAFETY: the caller's promise, for 16 rows of the 32.
        unsafe {
            let output = output.add(LINE * half * stride);
            #[cfg(target_arch = "x86_64")]
            {
                if crate::cpu::simd::has_avx512() {
                    for first in [0, 8] {
                        avx512::rows(a, first, b, steps, output.add(first * stride), stride, add);
                    }
                    continue;
                }
                if crate::cpu::simd::has_avx2() {
                    for (column, b) in b.into_iter().enumerate() {
                        let output = output.add(LINE * column);
                        avx2::rows::<6>(a, 0, b, steps, output, stride, add);
                        avx2::rows::<6>(a, 6, b, steps, output.add(6 * stride), stride, add);
                        avx2::rows::<4>(a, 12, b, steps, output.add(12 * stride), stride, add);
                    }
                    continue;
                }
            }
            for (column, b) in b.into_iter().enumerate() {
                portable(a, b, steps, output.add(LINE * column), stride, add);
            }
        }
    }
}

/// 16 rows by 16 columns, for the compiler to vectorise.
///
/// # Safety
/// As for [`multiply_block`], with one strip of each operand and 16 rows of 16 values.
unsafe fn portable(
    a: *const Tile,
    b: *const Tile,
    steps: usize,
    output: *mut f32,
    stride: usize,
    add: bool,
) {
    for row in 0..LINE {
        // SAFETY: a tile is 16 lines of 16 values; the rest is the caller's promise.
        unsafe {
            let output = output.add(row * stride).cast::<[f32; LINE]>();
            let mut sums = if add { output.read() } else { [0.0; LINE] };
            for step in 0..steps {
                let a = &*a.add(step).cast::<[[f32; LINE]; LINE]>();
                let b = &*b.add(step).cast::<[[f32; LINE]; LINE]>();
                for (factor, line) in a[row].iter().zip(b) {
                    for (sum, value) in sums.iter_mut().zip(line) {
                        *sum = factor.mul_add(*value, *sum);
                    }
                }
            }
            output.write(sums);
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod avx512 {
    use super::{LINE, Tile};
    use std::arch::x86_64::{
        _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_set1_ps, _mm512_setzero_ps, _mm512_storeu_ps,
    };

    /// Rows at a time: with two registers of columns each, 16 registers of sums.
    const ROWS: usize = 8;

    /// Rows `first..first + 8` of a strip of `a`.
    ///
    /// # Safety
    /// As for `multiply_block`, with 8 rows of output; the features must be available.
    #[target_feature(enable = "avx512f,avx512bw")]
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
        // SAFETY: a tile is 16 lines of 16 values; the rest is the caller's promise.
        unsafe {
            let mut sums = [[_mm512_setzero_ps(); 2]; ROWS];
            if add {
                for row in 0..ROWS {
                    let from = output.add(row * stride);
                    sums[row] = [_mm512_loadu_ps(from), _mm512_loadu_ps(from.add(LINE))];
                }
            }
            for step in 0..steps {
                let a = a.add(step).cast::<f32>().add(LINE * first);
                let (b0, b1) = (b0.add(step).cast::<f32>(), b1.add(step).cast::<f32>());
                for inner in 0..LINE {
                    let low = _mm512_loadu_ps(b0.add(LINE * inner));
                    let high = _mm512_loadu_ps(b1.add(LINE * inner));
                    for row in 0..ROWS {
                        let value = _mm512_set1_ps(*a.add(LINE * row + inner));
                        sums[row][0] = _mm512_fmadd_ps(value, low, sums[row][0]);
                        sums[row][1] = _mm512_fmadd_ps(value, high, sums[row][1]);
                    }
                }
            }
            for row in 0..ROWS {
                let to = output.add(row * stride);
                _mm512_storeu_ps(to, sums[row][0]);
                _mm512_storeu_ps(to.add(LINE), sums[row][1]);
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use super::{LINE, Tile};
    use std::arch::x86_64::{
        _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_set1_ps, _mm256_setzero_ps, _mm256_storeu_ps,
    };

    /// Rows `first..first + ROWS` of a strip of `a`: `2 * ROWS` registers of sums.
    ///
    /// # Safety
    /// As for `multiply_block`, with one strip of `b` and `ROWS` rows of 16 values; the features
    /// must be available.
    #[target_feature(enable = "avx2,fma")]
    #[allow(clippy::needless_range_loop)]
    pub(super) unsafe fn rows<const ROWS: usize>(
        a: *const Tile,
        first: usize,
        b: *const Tile,
        steps: usize,
        output: *mut f32,
        stride: usize,
        add: bool,
    ) {
        // SAFETY: a tile is 16 lines of 16 values; the rest is the caller's promise.
        unsafe {
            let mut sums = [[_mm256_setzero_ps(); 2]; ROWS];
            if add {
                for row in 0..ROWS {
                    let from = output.add(row * stride);
                    sums[row] = [_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8))];
                }
            }
            for step in 0..steps {
                let a = a.add(step).cast::<f32>().add(LINE * first);
                let b = b.add(step).cast::<f32>();
                for inner in 0..LINE {
                    let low = _mm256_loadu_ps(b.add(LINE * inner));
                    let high = _mm256_loadu_ps(b.add(LINE * inner + 8));
                    for row in 0..ROWS {
                        let value = _mm256_set1_ps(*a.add(LINE * row + inner));
                        sums[row][0] = _mm256_fmadd_ps(value, low, sums[row][0]);
                        sums[row][1] = _mm256_fmadd_ps(value, high, sums[row][1]);
                    }
                }
            }
            for row in 0..ROWS {
                let to = output.add(row * stride);
                _mm256_storeu_ps(to, sums[row][0]);
                _mm256_storeu_ps(to.add(8), sums[row][1]);
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::element::F32;
    use super::super::pack;
    use super::*;

    /// Every width of registers gives the same sums, bit by bit.
    #[test]
    fn widths_agree_with_the_definition() {
        const STEPS: usize = 3;
        let values = |salt: usize| -> Vec<f32> {
            (0..LINE * LINE * STEPS).map(|i| ((i * 7919 + salt) as f32 * 0.618).sin()).collect()
        };
        let (left, right) = (values(1), values(2));
        let inner = LINE * STEPS;
        let mut a = pack::unfilled_tiles(2 * STEPS);
        pack::rows::<F32>(&mut a, &left, inner, inner);
        let mut b = pack::unfilled_tiles(2 * STEPS);
        pack::rows_transposed::<F32>(&mut b, &right, inner, inner);
        for add in [false, true] {
            let mut expected = vec![0.5f32; LINE * LINE];
            for (row, line) in expected.chunks_exact_mut(LINE).enumerate() {
                for (col, sum) in line.iter_mut().enumerate() {
                    *sum = if add { *sum } else { 0.0 };
                    for k in 0..inner {
                        *sum = left[row * inner + k].mul_add(right[col * inner + k], *sum);
                    }
                }
            }
            let run = |multiply: &dyn Fn(*mut f32)| {
                let mut output = vec![0.5f32; LINE * 2 * LINE];
                multiply(output.as_mut_ptr());
                output.chunks(2 * LINE).flat_map(|line| &line[..LINE]).copied().collect::<Vec<_>>()
            };
            let (a, b, stride) = (a.as_ptr(), b.as_ptr(), 2 * LINE);
            // SAFETY: operands and output have the sizes asked for; features are tested.
            unsafe {
                assert_eq!(run(&|to| portable(a, b, STEPS, to, stride, add)), expected);
                #[cfg(target_arch = "x86_64")]
                if crate::cpu::simd::has_avx2() {
                    let actual = run(&|to| {
                        avx2::rows::<6>(a, 0, b, STEPS, to, stride, add);
                        avx2::rows::<6>(a, 6, b, STEPS, to.add(6 * stride), stride, add);
                        avx2::rows::<4>(a, 12, b, STEPS, to.add(12 * stride), stride, add);
                    });
                    assert_eq!(actual, expected);
                }
                #[cfg(target_arch = "x86_64")]
                if crate::cpu::simd::has_avx512() {
                    let actual = run(&|to| {
                        for first in [0, 8] {
                            let to = to.add(first * stride);
                            avx512::rows(a, first, [b, b.add(STEPS)], STEPS, to, stride, add);
                        }
                    });
                    assert_eq!(actual, expected);
                }
            }
        }
    }
}
