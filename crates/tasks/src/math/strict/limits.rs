/// Why a text was not turned into exact mathematics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stuck {
    /// Not an answer in the notation understood here.
    Syntax,
    /// Nested more deeply than [`MAX_DEPTH`].
    TooDeep,
    /// Longer than [`MAX_BYTES`], or an integer longer than [`MAX_BITS`].
    TooLarge,
    /// The budget of operations is spent.
    OutOfFuel,
    /// Well-formed, but outside what can be computed exactly.
    Unsupported,
    /// Division by zero, or zero to the power of zero.
    Undefined,
}

/// Longest answer read, in bytes.
pub(super) const MAX_BYTES: usize = 2000;

/// Deepest nesting read; it bounds every recursion over an expression.
pub(super) const MAX_DEPTH: usize = 50;

/// Longest numerator or denominator computed, in bits.
pub(super) const MAX_BITS: usize = 4096;

/// Operations one comparison may spend.
pub(super) const FUEL: u64 = 50_000;

/// A budget of operations: unlike a clock, it gives the same verdict on every machine.
#[derive(Debug)]
pub(super) struct Fuel(u64);

impl Fuel {
    pub(super) fn new(operations: u64) -> Self {
        Self(operations)
    }

    pub(super) fn spend(&mut self, operations: usize) -> Result<(), Stuck> {
        self.0 = self.0.checked_sub(operations as u64).ok_or(Stuck::OutOfFuel)?;
        Ok(())
    }
}
