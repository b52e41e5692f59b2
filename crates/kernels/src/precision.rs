//! In which precision matrix products multiply.

use std::sync::atomic::{AtomicU8, Ordering};

/// Precision of the products of linear layers, attention and the output head; weights, activations
/// and sums are f32 in both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// f32 throughout.
    #[default]
    F32,
    /// Factors rounded to bf16, sums in f32: several times as fast by AMX tiles, about twice as fast
    /// by AVX-512-BF16.
    Bf16,
}

impl std::fmt::Display for Precision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
        })
    }
}

/// The process-wide choice. One for all threads, because a result must not depend on the thread
/// that computes it.
static CHOICE: AtomicU8 = AtomicU8::new(0);

/// This processor cannot multiply bf16 matrices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bf16Unsupported;

impl std::fmt::Display for Bf16Unsupported {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("this processor has no bf16 matrix instructions (AMX or AVX-512-BF16)")
    }
}

impl std::error::Error for Bf16Unsupported {}

impl Precision {
    /// bf16 where the processor has instructions for it, else f32.
    pub fn fastest() -> Self {
        if crate::cpu::tiled::bf16_supported() { Self::Bf16 } else { Self::F32 }
    }
}

/// Chooses the precision of all later products of the process.
///
/// # Errors
/// [`Bf16Unsupported`]; the choice is unchanged then.
pub fn set_precision(precision: Precision) -> Result<(), Bf16Unsupported> {
    if precision == Precision::Bf16 && !crate::cpu::tiled::bf16_supported() {
        return Err(Bf16Unsupported);
    }
    CHOICE.store(u8::from(precision == Precision::Bf16), Ordering::Relaxed);
    Ok(())
}

/// The current choice.
pub fn precision() -> Precision {
    match CHOICE.load(Ordering::Relaxed) {
        0 => Precision::F32,
        _ => Precision::Bf16,
    }
}
