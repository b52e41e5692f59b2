//! What a tile holds: f32 values, or values rounded to bf16 (to nearest, ties to even), in the two
//! orders that operands need.

use crate::precision::Precision;

/// The type of the values in a tile, which is 16 lines of 64 bytes.
pub(crate) trait Element: Send + Sync {
    /// In which precision products multiply.
    const PRECISION: Precision;
    /// Extent of the inner dimension in a tile: 64 bytes of values.
    const DEPTH: usize;
}

/// f32, as it is.
pub(crate) struct F32;

impl Element for F32 {
    const PRECISION: Precision = Precision::F32;
    const DEPTH: usize = 16;
}

/// bf16, two values a 32-bit word, the first of them in the low half.
pub(crate) struct Bf16;

impl Element for Bf16 {
    const PRECISION: Precision = Precision::Bf16;
    const DEPTH: usize = 32;
}

/// How f32 values become the 16 words of a tile's line.
pub(crate) trait Convert {
    /// Values of a matrix row in a line of a left operand: [`Element::DEPTH`].
    const DEPTH: usize;
    /// Matrix rows in a line of a right operand.
    const ROWS: usize;

    /// `DEPTH` successive values.
    fn adjacent(to: &mut [u32; 16], from: &[f32]);

    /// 16 values of `ROWS` matrix rows; where there is one, the second is passed over.
    fn columns(to: &mut [u32; 16], first: &[f32; 16], second: &[f32; 16]);
}

/// f32 values, bit by bit.
pub(crate) struct Exact;

impl Convert for Exact {
    const DEPTH: usize = 16;
    const ROWS: usize = 1;

    #[inline(always)]
    fn adjacent(to: &mut [u32; 16], from: &[f32]) {
        for (to, from) in to.iter_mut().zip(from) {
            *to = from.to_bits();
        }
    }

    #[inline(always)]
    fn columns(to: &mut [u32; 16], first: &[f32; 16], _: &[f32; 16]) {
        Self::adjacent(to, first);
    }
}

/// Rounding by integer arithmetic, for the compiler to vectorise.
pub(crate) struct Integer;

impl Convert for Integer {
    const DEPTH: usize = 32;
    const ROWS: usize = 2;

    #[inline(always)]
    fn adjacent(to: &mut [u32; 16], from: &[f32]) {
        for (to, pair) in to.iter_mut().zip(from.as_chunks::<2>().0) {
            *to = round(pair[0]) >> 16 | round(pair[1]);
        }
    }

    #[inline(always)]
    fn columns(to: &mut [u32; 16], even: &[f32; 16], odd: &[f32; 16]) {
        for ((to, even), odd) in to.iter_mut().zip(even).zip(odd) {
            *to = round(*even) >> 16 | round(*odd);
        }
    }
}

/// The bf16 value, in the upper 16 bits.
#[inline(always)]
fn round(value: f32) -> u32 {
    let bits = value.to_bits();
    let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1));
    // Rounding could carry a NaN's payload into the sign; setting the quiet bit keeps it a NaN.
    let quiet = bits | 0x0040_0000;
    (if bits & 0x7fff_ffff > 0x7f80_0000 { quiet } else { rounded }) & 0xffff_0000
}

/// Rounding by the instruction made for it, which takes subnormal values for zero.
///
/// Named only by [`converting`], in the copy of a function that has `avx512f`, `avx512bw` and
/// `avx512bf16` enabled and runs only where the processor has them.
#[cfg(target_arch = "x86_64")]
pub(crate) struct Native;

#[cfg(target_arch = "x86_64")]
impl Convert for Native {
    const DEPTH: usize = 32;
    const ROWS: usize = 2;

    #[inline(always)]
    fn adjacent(to: &mut [u32; 16], from: &[f32]) {
        use std::arch::x86_64::{__m512bh, _mm512_cvtne2ps_pbh, _mm512_loadu_ps};
        assert!(from.len() == Self::DEPTH, "a line of a tile");
        // SAFETY: the features are enabled, see the type; the pointers are to 16 values each.
        unsafe {
            let (low, high) = (from.as_ptr(), from.as_ptr().add(16));
            let pairs = _mm512_cvtne2ps_pbh(_mm512_loadu_ps(high), _mm512_loadu_ps(low));
            to.as_mut_ptr().cast::<__m512bh>().write_unaligned(pairs);
        }
    }

    #[inline(always)]
    fn columns(to: &mut [u32; 16], even: &[f32; 16], odd: &[f32; 16]) {
        use std::arch::x86_64::{
            __m512bh, __m512i, _mm512_cvtne2ps_pbh, _mm512_loadu_ps, _mm512_permutexvar_epi16,
        };
        const INTERLEAVE: [u16; 32] = {
            let mut index = [0; 32];
            let mut i = 0;
            while i < 16 {
                index[2 * i] = i as u16;
                index[2 * i + 1] = 16 + i as u16;
                i += 1;
            }
            index
        };
        // SAFETY: the features are enabled, see the type; the pointers are to 16 values each; the
        // vector types have the same size, and every bit pattern is valid for them.
        unsafe {
            let (even, odd) = (_mm512_loadu_ps(even.as_ptr()), _mm512_loadu_ps(odd.as_ptr()));
            let halves = _mm512_cvtne2ps_pbh(odd, even);
            let index = std::mem::transmute::<[u16; 32], __m512i>(INTERLEAVE);
            let pairs =
                _mm512_permutexvar_epi16(index, std::mem::transmute::<__m512bh, __m512i>(halves));
            to.as_mut_ptr().cast::<__m512i>().write_unaligned(pairs);
        }
    }
}

/// Defines a function of a type of element `E`, whose body sees the [`Convert`] for it: compiled for
/// [`Native`] and, by [`vectorised!`](crate::cpu::simd), for [`Integer`] and [`Exact`]. Which one
/// runs is what the element asks for and the processor has.
macro_rules! converting {
    ($(#[$meta:meta])* $vis:vis fn $name:ident<$convert:ident>($($arg:ident: $ty:ty),* $(,)?) $body:block) => {
        $(#[$meta])*
        $vis fn $name<E: $crate::cpu::tiled::element::Element>($($arg: $ty),*) {
            #[inline(always)]
            fn with<$convert: $crate::cpu::tiled::element::Convert>($($arg: $ty),*) $body

            $crate::cpu::simd::vectorised! {
                fn exact($($arg: $ty),*) {
                    with::<$crate::cpu::tiled::element::Exact>($($arg),*);
                }
            }
            $crate::cpu::simd::vectorised! {
                fn integer($($arg: $ty),*) {
                    with::<$crate::cpu::tiled::element::Integer>($($arg),*);
                }
            }
            if E::PRECISION == $crate::precision::Precision::F32 {
                exact($($arg),*);
                return;
            }
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx512bf16,avx2,fma")]
                fn native($($arg: $ty),*) {
                    with::<$crate::cpu::tiled::element::Native>($($arg),*);
                }
                if $crate::cpu::simd::has_avx512() && is_x86_feature_detected!("avx512bf16") {
                    // SAFETY: the processor has just been seen to have the features.
                    unsafe { native($($arg),*) };
                    return;
                }
            }
            integer($($arg),*);
        }
    };
}
pub(crate) use converting;

#[cfg(test)]
mod tests {
    use super::*;

    converting! {
        fn chosen<R>(adjacent: &mut [u32; 16], pairs: &mut [u32; 16], values: &[f32; 32]) {
            R::adjacent(adjacent, values);
            let (even, odd) = values.split_at(16);
            if let (Some(even), Some(odd)) = (even.first_chunk(), odd.first_chunk()) {
                R::columns(pairs, even, odd);
            }
        }
    }

    #[test]
    fn ties_go_to_even_and_special_values_stay() {
        for (bits, expected) in [
            (0x3f80_8000, 0x3f80),
            (0x3f81_8000, 0x3f82),
            (0x3f80_8001, 0x3f81),
            (0xbf80_7fff, 0xbf80),
            (0x7f7f_ffff, 0x7f80),
            (0xff80_0000, 0xff80),
            (0x8000_0000, 0x8000),
            (0x7f80_0001, 0x7fc0),
            (0xffff_ffff, 0xffff),
        ] {
            assert_eq!(round(f32::from_bits(bits)) >> 16, expected, "{bits:#x}");
        }
    }

    #[test]
    fn the_instruction_agrees_with_the_arithmetic() {
        let mut state = 1u32;
        for _ in 0..20_000 {
            let values = std::array::from_fn(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let value = f32::from_bits(state);
                if value.is_subnormal() { 0.0 } else { value }
            });
            let mut actual = ([0; 16], [0; 16]);
            chosen::<Bf16>(&mut actual.0, &mut actual.1, &values);
            for pair in 0..16 {
                let expected = round(values[2 * pair]) >> 16 | round(values[2 * pair + 1]);
                assert_eq!(actual.0[pair], expected);
                let expected = round(values[pair]) >> 16 | round(values[16 + pair]);
                assert_eq!(actual.1[pair], expected);
            }
        }
    }
}
