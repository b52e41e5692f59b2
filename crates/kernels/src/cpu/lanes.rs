//! Sixteen f32 values at a time, in a register where the processor has one.
//!
//! The compiler makes whole registers of an element-wise loop over a long slice by itself
//! ([`vectorised`](super::simd::vectorised)). Sums, maxima and loops over a few values it cuts into
//! small pieces, and there these types are several times as fast.

use super::simd::exp;

/// Values in a [`Lanes`].
pub(crate) const LANES: usize = 16;

/// Sixteen values. Both implementations round alike.
pub(crate) trait Lanes: Copy {
    fn splat(value: f32) -> Self;
    fn load(values: &[f32; LANES]) -> Self;
    /// bf16 values, by their bits.
    fn load_bf16(bits: &[u16; LANES]) -> Self;
    fn store(self, values: &mut [f32; LANES]);
    fn add(self, other: Self) -> Self;
    fn subtract(self, other: Self) -> Self;
    fn multiply(self, other: Self) -> Self;
    /// `a * b + self`, rounded once.
    fn add_products(self, a: Self, b: Self) -> Self;
    /// The greater of each two; `self` where `other` is not a number.
    fn or_greater(self, other: Self) -> Self;
    /// [`exp`] of each.
    fn exp(self) -> Self;
    /// Asks the caches for a line that will be read. Any address will do.
    fn prefetch<T>(address: *const T);

    fn zero() -> Self {
        Self::splat(0.0)
    }

    /// `factor * values + self`, rounded once.
    #[inline(always)]
    fn add_product(self, factor: f32, values: Self) -> Self {
        self.add_products(Self::splat(factor), values)
    }

    /// The sum of the lanes, pairwise.
    #[inline(always)]
    fn sum(self) -> f32 {
        let mut sums = [0.0; LANES];
        self.store(&mut sums);
        let mut width = LANES / 2;
        while width > 0 {
            for lane in 0..width {
                sums[lane] += sums[lane + width];
            }
            width /= 2;
        }
        sums[0]
    }

    /// The greatest of the lanes, all of which must be numbers.
    #[inline(always)]
    fn greatest(self) -> f32 {
        let mut values = [0.0; LANES];
        self.store(&mut values);
        let mut width = LANES / 2;
        while width > 0 {
            for lane in 0..width {
                values[lane] = values[lane].max(values[lane + width]);
            }
            width /= 2;
        }
        values[0]
    }
}

/// For the compiler to vectorise.
#[derive(Clone, Copy)]
pub(crate) struct Portable([f32; LANES]);

impl Portable {
    #[inline(always)]
    fn pairwise(self, other: Self, function: impl Fn(f32, f32) -> f32) -> Self {
        let mut result = self;
        for lane in 0..LANES {
            result.0[lane] = function(self.0[lane], other.0[lane]);
        }
        result
    }
}

impl Lanes for Portable {
    #[inline(always)]
    fn splat(value: f32) -> Self {
        Self([value; LANES])
    }

    #[inline(always)]
    fn load(values: &[f32; LANES]) -> Self {
        Self(*values)
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self.pairwise(other, |a, b| a + b)
    }

    #[inline(always)]
    fn subtract(self, other: Self) -> Self {
        self.pairwise(other, |a, b| a - b)
    }

    #[inline(always)]
    fn multiply(self, other: Self) -> Self {
        self.pairwise(other, |a, b| a * b)
    }

    #[inline(always)]
    fn or_greater(self, other: Self) -> Self {
        self.pairwise(other, |a, b| if b > a { b } else { a })
    }

    #[inline(always)]
    fn exp(self) -> Self {
        self.pairwise(self, |value, _| exp(value))
    }

    #[inline(always)]
    fn load_bf16(bits: &[u16; LANES]) -> Self {
        let mut values = [0.0; LANES];
        for (value, bits) in values.iter_mut().zip(bits) {
            *value = f32::from_bits(u32::from(*bits) << 16);
        }
        Self(values)
    }

    #[inline(always)]
    fn store(self, values: &mut [f32; LANES]) {
        *values = self.0;
    }

    #[inline(always)]
    fn add_products(self, a: Self, b: Self) -> Self {
        let mut sum = self;
        for lane in 0..LANES {
            sum.0[lane] = a.0[lane].mul_add(b.0[lane], sum.0[lane]);
        }
        sum
    }

    #[inline(always)]
    fn prefetch<T>(_: *const T) {}
}

/// One AVX-512 register.
///
/// Named only by [`with_lanes`], in the copy of a function that has the features enabled and runs
/// only where the processor has them.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
pub(crate) struct Register(std::arch::x86_64::__m512);

#[cfg(target_arch = "x86_64")]
impl Lanes for Register {
    #[inline(always)]
    fn splat(value: f32) -> Self {
        // SAFETY: the features are enabled, see the type.
        Self(unsafe { std::arch::x86_64::_mm512_set1_ps(value) })
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        // SAFETY: the features are enabled, see the type.
        Self(unsafe { std::arch::x86_64::_mm512_add_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn subtract(self, other: Self) -> Self {
        // SAFETY: the features are enabled, see the type.
        Self(unsafe { std::arch::x86_64::_mm512_sub_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn multiply(self, other: Self) -> Self {
        // SAFETY: the features are enabled, see the type.
        Self(unsafe { std::arch::x86_64::_mm512_mul_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn or_greater(self, other: Self) -> Self {
        // SAFETY: the features are enabled, see the type. The instruction gives its second operand
        // where either is not a number, or where both are equal.
        Self(unsafe { std::arch::x86_64::_mm512_max_ps(other.0, self.0) })
    }

    /// Step by step what [`exp`] does.
    #[inline(always)]
    fn exp(self) -> Self {
        use super::simd::{EXP_COEFFICIENTS, LN2_HIGH, LN2_LOW, ROUND};
        use std::arch::x86_64::{
            _mm512_add_epi32, _mm512_castps_si512, _mm512_castsi512_ps, _mm512_max_ps,
            _mm512_min_ps, _mm512_set1_epi32, _mm512_slli_epi32, _mm512_sub_epi32,
        };
        let splat = Self::splat;
        // SAFETY: the features are enabled, see the type. Both instructions give their second
        // operand, the value, if it is not a number.
        let x =
            Self(unsafe { _mm512_min_ps(splat(88.0).0, _mm512_max_ps(splat(-87.0).0, self.0)) });
        let shifted = splat(ROUND).add_products(x, splat(std::f32::consts::LOG2_E));
        let n = shifted.subtract(splat(ROUND));
        let r = x.add_products(n, splat(-LN2_HIGH)).add_products(n, splat(-LN2_LOW));
        let mut p = splat(EXP_COEFFICIENTS[0]);
        for coefficient in &EXP_COEFFICIENTS[1..] {
            p = splat(*coefficient).add_products(p, r);
        }
        let value = r.add(splat(1.0)).add_products(p, r.multiply(r));
        // SAFETY: the features are enabled, see the type.
        let power = Self(unsafe {
            let n = _mm512_sub_epi32(
                _mm512_castps_si512(shifted.0),
                _mm512_set1_epi32(ROUND.to_bits() as i32),
            );
            _mm512_castsi512_ps(_mm512_slli_epi32::<23>(_mm512_add_epi32(
                n,
                _mm512_set1_epi32(127),
            )))
        });
        value.multiply(power)
    }

    #[inline(always)]
    fn load(values: &[f32; LANES]) -> Self {
        // SAFETY: the features are enabled, see the type; the pointer is to 16 values.
        Self(unsafe { std::arch::x86_64::_mm512_loadu_ps(values.as_ptr()) })
    }

    #[inline(always)]
    fn load_bf16(bits: &[u16; LANES]) -> Self {
        use std::arch::x86_64::{
            _mm256_loadu_si256, _mm512_castsi512_ps, _mm512_cvtepu16_epi32, _mm512_slli_epi32,
        };
        // SAFETY: the features are enabled, see the type; the pointer is to 16 values.
        Self(unsafe {
            let words = _mm512_cvtepu16_epi32(_mm256_loadu_si256(bits.as_ptr().cast()));
            _mm512_castsi512_ps(_mm512_slli_epi32::<16>(words))
        })
    }

    #[inline(always)]
    fn store(self, values: &mut [f32; LANES]) {
        // SAFETY: the features are enabled, see the type; the pointer is to 16 values.
        unsafe { std::arch::x86_64::_mm512_storeu_ps(values.as_mut_ptr(), self.0) };
    }

    #[inline(always)]
    fn add_products(self, a: Self, b: Self) -> Self {
        // SAFETY: the features are enabled, see the type.
        Self(unsafe { std::arch::x86_64::_mm512_fmadd_ps(a.0, b.0, self.0) })
    }

    #[inline(always)]
    fn prefetch<T>(address: *const T) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch neither faults nor changes what a program can see.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) };
    }
}

/// Defines a function of an implementation `V` of [`Lanes`], compiled for [`Register`] and, by
/// [`vectorised!`](crate::cpu::simd), for [`Portable`]; which one runs is what the processor has.
macro_rules! with_lanes {
    ($(#[$meta:meta])* $vis:vis fn $name:ident<$lanes:ident>($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block) => {
        $(#[$meta])*
        #[allow(clippy::too_many_arguments)]
        $vis fn $name($($arg: $ty),*) $(-> $ret)? {
            #[inline(always)]
            #[allow(clippy::too_many_arguments)]
            fn lanes<$lanes: $crate::cpu::lanes::Lanes>($($arg: $ty),*) $(-> $ret)? $body

            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
                #[allow(clippy::too_many_arguments)]
                fn register($($arg: $ty),*) $(-> $ret)? {
                    lanes::<$crate::cpu::lanes::Register>($($arg),*)
                }
                if $crate::cpu::simd::has_avx512() {
                    // SAFETY: the processor has just been seen to have the features.
                    return unsafe { register($($arg),*) };
                }
            }
            $crate::cpu::simd::vectorised! {
                fn portable($($arg: $ty),*) $(-> $ret)? {
                    lanes::<$crate::cpu::lanes::Portable>($($arg),*)
                }
            }
            portable($($arg),*)
        }
    };
}
pub(crate) use with_lanes;

/// Sum of products, in a fixed order: sixteen sums side by side, then theirs.
#[inline(always)]
pub(crate) fn dot<V: Lanes>(a: &[f32], b: &[f32]) -> f32 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let mut sums = V::zero();
    for (a, b) in a.iter().zip(b) {
        sums = sums.add_products(V::load(a), V::load(b));
    }
    a_rest.iter().zip(b_rest).fold(sums.sum(), |sum, (a, b)| a.mul_add(*b, sum))
}

/// The greatest value, NaN passed over (`-inf` if there is none).
#[inline(always)]
pub(crate) fn max<V: Lanes>(values: &[f32]) -> f32 {
    let (chunks, rest) = values.as_chunks::<LANES>();
    let mut greatest = V::splat(f32::NEG_INFINITY);
    for chunk in chunks {
        greatest = greatest.or_greater(V::load(chunk));
    }
    rest.iter().fold(greatest.greatest(), |a, b| if *b > a { *b } else { a })
}

/// Replaces every value by `exp((value - shift) * scale)` and returns the sum of the results.
#[inline(always)]
pub(crate) fn exp_scaled_in_place<V: Lanes>(values: &mut [f32], shift: f32, scale: f32) -> f32 {
    let (chunks, rest) = values.as_chunks_mut::<LANES>();
    let mut sums = V::zero();
    for chunk in chunks {
        let value = V::load(chunk).subtract(V::splat(shift)).multiply(V::splat(scale)).exp();
        value.store(chunk);
        sums = sums.add(value);
    }
    let mut total = sums.sum();
    for value in rest {
        *value = exp((*value - shift) * scale);
        total += *value;
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    with_lanes! {
        fn exp_of<V>(values: &mut [f32; LANES]) {
            V::load(values).exp().store(values);
        }
    }

    with_lanes! {
        fn dot_of<V>(a: &[f32], b: &[f32]) -> f32 {
            dot::<V>(a, b)
        }
    }

    with_lanes! {
        fn max_of<V>(values: &[f32]) -> f32 {
            max::<V>(values)
        }
    }

    with_lanes! {
        fn exp_scaled_of<V>(values: &mut [f32], shift: f32, scale: f32) -> f32 {
            exp_scaled_in_place::<V>(values, shift, scale)
        }
    }

    #[test]
    fn registers_give_the_bits_of_the_scalar_function() {
        let special = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0, -0.0, 88.0, -87.0, 1e30];
        let grid = (-9000..9000).map(|i| i as f32 * 0.01 + 0.003);
        let all: Vec<f32> = special.into_iter().chain(grid).collect();
        for chunk in all.as_chunks::<LANES>().0 {
            let mut values = *chunk;
            exp_of(&mut values);
            for (x, y) in chunk.iter().zip(values) {
                assert_eq!(y.to_bits(), exp(*x).to_bits(), "exp({x})");
            }
        }
    }

    #[test]
    fn reductions_cover_remainders() {
        for n in [0, 1, 7, 16, 33, 127] {
            let values: Vec<f32> = (0..n).map(|i| (i as f32 * 0.37).sin()).collect();
            let squares: f64 = values.iter().map(|v| f64::from(*v).powi(2)).sum();
            assert!((f64::from(dot_of(&values, &values)) - squares).abs() < 1e-4);
            assert_eq!(max_of(&values), values.iter().copied().fold(f32::NEG_INFINITY, f32::max));
            let exponentials: f64 =
                values.iter().map(|v| ((f64::from(*v) - 0.5) * 2.0).exp()).sum();
            let mut replaced = values.clone();
            assert!(
                (f64::from(exp_scaled_of(&mut replaced, 0.5, 2.0)) - exponentials).abs() < 1e-4
            );
            for (x, y) in values.iter().zip(replaced) {
                assert_eq!(y, exp((x - 0.5) * 2.0));
            }
        }
    }

    #[test]
    fn the_greatest_value_passes_over_what_is_not_a_number() {
        for at in 0..33 {
            let mut values = vec![f32::NAN; 33];
            assert_eq!(max_of(&values), f32::NEG_INFINITY);
            values[at] = -3.0;
            assert_eq!(max_of(&values), -3.0, "{at}");
            values[(at + 8) % 33] = 5.0;
            assert_eq!(max_of(&values), 5.0, "{at}");
        }
    }
}
