//! Sixteen f32 values at a time, in a register where the processor has one.

/// Values in a [`Lanes`].
pub(super) const LANES: usize = crate::cpu::simd::LANES;

/// Sixteen values. Both implementations round alike.
pub(super) trait Lanes: Copy {
    fn zero() -> Self;
    fn load(values: &[f32; LANES]) -> Self;
    /// bf16 values, by their bits.
    fn load_bf16(bits: &[u16; LANES]) -> Self;
    fn store(self, values: &mut [f32; LANES]);
    /// `factor * values + self`, rounded once.
    fn add_product(self, factor: f32, values: Self) -> Self;
    /// Asks the caches for a line that will be read. Any address will do.
    fn prefetch<T>(address: *const T);
}

/// For the compiler to vectorise.
#[derive(Clone, Copy)]
pub(super) struct Portable([f32; LANES]);

impl Lanes for Portable {
    #[inline(always)]
    fn zero() -> Self {
        Self([0.0; LANES])
    }

    #[inline(always)]
    fn load(values: &[f32; LANES]) -> Self {
        Self(*values)
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
    fn add_product(self, factor: f32, values: Self) -> Self {
        let mut sum = self;
        for lane in 0..LANES {
            sum.0[lane] = factor.mul_add(values.0[lane], sum.0[lane]);
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
pub(super) struct Register(std::arch::x86_64::__m512);

#[cfg(target_arch = "x86_64")]
impl Lanes for Register {
    #[inline(always)]
    fn zero() -> Self {
        // SAFETY: the features are enabled, see the type.
        Self(unsafe { std::arch::x86_64::_mm512_setzero_ps() })
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
    fn add_product(self, factor: f32, values: Self) -> Self {
        use std::arch::x86_64::{_mm512_fmadd_ps, _mm512_set1_ps};
        // SAFETY: the features are enabled, see the type.
        Self(unsafe { _mm512_fmadd_ps(_mm512_set1_ps(factor), values.0, self.0) })
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
    ($(#[$meta:meta])* $vis:vis fn $name:ident<$lanes:ident>($($arg:ident: $ty:ty),* $(,)?) $body:block) => {
        $(#[$meta])*
        #[allow(clippy::too_many_arguments)]
        $vis fn $name($($arg: $ty),*) {
            #[inline(always)]
            #[allow(clippy::too_many_arguments)]
            fn lanes<$lanes: $crate::inference::lanes::Lanes>($($arg: $ty),*) $body

            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
                #[allow(clippy::too_many_arguments)]
                fn register($($arg: $ty),*) {
                    lanes::<$crate::inference::lanes::Register>($($arg),*);
                }
                if $crate::cpu::simd::has_avx512() {
                    // SAFETY: the processor has just been seen to have the features.
                    unsafe { register($($arg),*) };
                    return;
                }
            }
            $crate::cpu::simd::vectorised! {
                fn portable($($arg: $ty),*) {
                    lanes::<$crate::inference::lanes::Portable>($($arg),*);
                }
            }
            portable($($arg),*);
        }
    };
}
pub(super) use with_lanes;
