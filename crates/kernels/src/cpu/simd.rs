//! Vectorisation by run-time detection.

/// Defines a function whose body is compiled three times (AVX-512, AVX2 + FMA, and the target's
/// baseline) and dispatched by what the processor has.
///
/// Everything the body calls in its inner loops must be `#[inline(always)]`, or it is compiled
/// for the baseline only.
macro_rules! vectorised {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block) => {
        $(#[$meta])*
        #[allow(clippy::too_many_arguments)]
        $vis fn $name($($arg: $ty),*) $(-> $ret)? {
            #[inline(always)]
            fn body($($arg: $ty),*) $(-> $ret)? $body

            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
                fn avx512($($arg: $ty),*) $(-> $ret)? {
                    body($($arg),*)
                }
                #[target_feature(enable = "avx2,fma")]
                fn avx2($($arg: $ty),*) $(-> $ret)? {
                    body($($arg),*)
                }
                // SAFETY: each copy runs only on a processor that has just been seen to have its
                // features (the detection macro caches its answer).
                unsafe {
                    if $crate::cpu::simd::has_avx512() {
                        return avx512($($arg),*);
                    }
                    if $crate::cpu::simd::has_avx2() {
                        return avx2($($arg),*);
                    }
                }
            }
            body($($arg),*)
        }
    };
}
pub(crate) use vectorised;

#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(crate) fn has_avx512() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512bw")
        && has_avx2()
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(crate) fn has_avx2() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")
}

/// Lanes that the reductions below keep apart, so that the compiler may use whole registers
/// without reordering a sum.
pub(crate) const LANES: usize = 16;

/// `e^x` in f32 to about 2 ulp for `x` in [-87, 88]; clamped outside.
///
/// Cody-Waite range reduction and a degree-6 Taylor-minimax polynomial, without a library call, so
/// that a loop over it vectorises.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    const LOG2_E: f32 = std::f32::consts::LOG2_E;
    // Adding 1.5 * 2^23 rounds to an integer that stands in the low mantissa bits.
    const ROUND: f32 = 12_582_912.0;
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let x = x.clamp(-87.0, 88.0);
    let shifted = x.mul_add(LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = n.mul_add(-LN2_LOW, n.mul_add(-LN2_HIGH, x));
    let p = 1.987_569_1e-4_f32;
    let p = p.mul_add(r, 1.398_199_9e-3);
    let p = p.mul_add(r, 8.333_452e-3);
    let p = p.mul_add(r, 4.166_579_6e-2);
    let p = p.mul_add(r, 1.666_666_5e-1);
    let p = p.mul_add(r, 0.5);
    let value = p.mul_add(r * r, r + 1.0);
    let power = shifted.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127) << 23;
    value * f32::from_bits(power)
}

/// Sum of products, in a fixed order that does not depend on the instruction set's width.
#[inline(always)]
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let mut a_chunks = a.chunks_exact(LANES);
    let mut b_chunks = b.chunks_exact(LANES);
    for (a, b) in (&mut a_chunks).zip(&mut b_chunks) {
        for lane in 0..LANES {
            lanes[lane] = a[lane].mul_add(b[lane], lanes[lane]);
        }
    }
    let mut total = sum_lanes(&lanes);
    for (a, b) in a_chunks.remainder().iter().zip(b_chunks.remainder()) {
        total = a.mul_add(*b, total);
    }
    total
}

/// Sum of the lanes, pairwise.
#[inline(always)]
pub(crate) fn sum_lanes(lanes: &[f32; LANES]) -> f32 {
    let mut sums = *lanes;
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            sums[lane] += sums[lane + width];
        }
        width /= 2;
    }
    sums[0]
}

/// Largest value of a slice (`-inf` when empty).
#[inline(always)]
pub(crate) fn max(values: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let mut chunks = values.chunks_exact(LANES);
    for chunk in &mut chunks {
        for lane in 0..LANES {
            lanes[lane] = if chunk[lane] > lanes[lane] { chunk[lane] } else { lanes[lane] };
        }
    }
    lanes
        .iter()
        .chain(chunks.remainder())
        .copied()
        .fold(f32::NEG_INFINITY, |a, b| if b > a { b } else { a })
}

/// Replaces every value by `exp(value - shift)` and returns the sum of the results.
#[inline(always)]
pub(crate) fn exp_shifted_in_place(values: &mut [f32], shift: f32) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let mut chunks = values.chunks_exact_mut(LANES);
    for chunk in &mut chunks {
        for lane in 0..LANES {
            chunk[lane] = exp(chunk[lane] - shift);
            lanes[lane] += chunk[lane];
        }
    }
    let mut total = sum_lanes(&lanes);
    for value in chunks.into_remainder() {
        *value = exp(*value - shift);
        total += *value;
    }
    total
}

/// Replaces every value by `exp((value - shift) * scale)` and returns the sum of the results.
#[inline(always)]
pub(crate) fn exp_scaled_in_place(values: &mut [f32], shift: f32, scale: f32) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let mut chunks = values.chunks_exact_mut(LANES);
    for chunk in &mut chunks {
        for lane in 0..LANES {
            chunk[lane] = exp((chunk[lane] - shift) * scale);
            lanes[lane] += chunk[lane];
        }
    }
    let mut total = sum_lanes(&lanes);
    for value in chunks.into_remainder() {
        *value = exp((*value - shift) * scale);
        total += *value;
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    vectorised! {
        fn exp_all(values: &mut [f32]) {
            for value in values.iter_mut() {
                *value = exp(*value);
            }
        }
    }

    #[test]
    fn exp_agrees_with_libm() {
        let inputs: Vec<f32> = (-8700..8800).map(|i| i as f32 * 0.01).collect();
        let mut outputs = inputs.clone();
        exp_all(&mut outputs);
        for (x, y) in inputs.iter().zip(&outputs) {
            let expected = f64::from(*x).exp();
            let error = (f64::from(*y) - expected).abs() / expected;
            assert!(error < 3e-7, "exp({x}) = {y}, expected {expected}");
        }
        let mut far = [-1000.0, 1000.0];
        exp_all(&mut far);
        assert!(far[0] < 2e-38 && far[1].is_finite());
    }

    #[test]
    fn reductions_cover_remainders() {
        for n in [0, 1, 7, 16, 33, 127] {
            let values: Vec<f32> = (0..n).map(|i| (i as f32 * 0.37).sin()).collect();
            let expected: f64 = values.iter().map(|v| f64::from(*v).powi(2)).sum();
            assert!((f64::from(dot(&values, &values)) - expected).abs() < 1e-4);
            let largest = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            assert_eq!(max(&values), largest);
        }
    }
}
