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

/// Adding 1.5 * 2^23 rounds to an integer that stands in the low mantissa bits.
pub(crate) const ROUND: f32 = 12_582_912.0;
/// `ln 2` in two parts, the first of few bits, so that its multiples are exact.
pub(crate) const LN2_HIGH: f32 = 0.693_359_4;
pub(crate) const LN2_LOW: f32 = -2.121_944_4e-4;
/// Of `(e^r - 1 - r) / r^2`, from the highest power on.
pub(crate) const EXP_COEFFICIENTS: [f32; 6] =
    [1.987_569_1e-4, 1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5];

/// `e^x` in f32 to about 2 ulp for `x` in [-87, 88]; clamped outside.
///
/// Cody-Waite range reduction and a degree-6 Taylor-minimax polynomial, without a library call, so
/// that a loop over it vectorises.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    let x = x.clamp(-87.0, 88.0);
    let shifted = x.mul_add(std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = n.mul_add(-LN2_LOW, n.mul_add(-LN2_HIGH, x));
    let mut p = EXP_COEFFICIENTS[0];
    for coefficient in &EXP_COEFFICIENTS[1..] {
        p = p.mul_add(r, *coefficient);
    }
    let value = p.mul_add(r * r, r + 1.0);
    let power = shifted.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127) << 23;
    value * f32::from_bits(power)
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
}
