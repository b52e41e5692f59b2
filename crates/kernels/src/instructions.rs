//! Which instructions the kernels chose on this processor.

use crate::cpu::tiled;

/// What the kernels of the CPU use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instructions {
    /// Of everything that is compiled several times: element-wise work, products in f32.
    pub vectors: &'static str,
    /// Of products in bf16; none where the processor has no instructions for them.
    pub bf16: Option<&'static str>,
}

/// What the kernels use here.
pub fn instructions() -> Instructions {
    let bf16 = match (tiled::amx::available(), tiled::dot::available()) {
        (true, _) => Some("AMX tiles"),
        (false, true) => Some("AVX-512-BF16"),
        (false, false) => None,
    };
    Instructions { vectors: vectors(), bf16 }
}

#[cfg(target_arch = "x86_64")]
fn vectors() -> &'static str {
    match (crate::cpu::simd::has_avx512(), crate::cpu::simd::has_avx2()) {
        (true, _) => "AVX-512",
        (false, true) => "AVX2 and FMA",
        (false, false) => "the baseline of x86-64",
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn vectors() -> &'static str {
    "the compiler's baseline"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Precision;

    #[test]
    fn bf16_is_named_where_it_can_be_chosen() {
        let fastest = Precision::fastest() == Precision::Bf16;
        assert_eq!(instructions().bf16.is_some(), fastest);
    }
}
