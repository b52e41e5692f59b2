//! The non-linear functions of feed-forward layers.

/// A function of one value. Multiplied by a second projection it is a gated layer (Shazeer 2020).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// `max(x, 0)`.
    Relu,
    /// `x sigmoid(x)`.
    Silu,
    /// `x Phi(x)`, with the distribution function of the standard normal (Hendrycks & Gimpel 2016).
    Gelu,
    /// The approximation `x sigmoid(2 sqrt(2/pi) (x + 0.044715 x^3))` of it, which equals
    /// `x/2 (1 + tanh(...))`: "gelu_new", as T5 v1.1 uses it.
    GeluTanh,
}
