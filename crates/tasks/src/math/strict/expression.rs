use dashu::rational::RBig;

/// A formula as written. Its depth is bounded by the parser, sums and products are flat.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expression {
    Number(RBig),
    Pi,
    Euler,
    Imaginary,
    /// A variable, or infinity.
    Variable(String),
    Sum(Vec<Expression>),
    Product(Vec<Expression>),
    Negate(Box<Expression>),
    Quotient(Box<Expression>, Box<Expression>),
    Power(Box<Expression>, Box<Expression>),
    Function(Function, Vec<Expression>),
}

/// Functions by what they mean; arguments in the order written, the base of a logarithm second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    Sin,
    Cos,
    Tan,
    Cot,
    Sec,
    Csc,
    Arcsin,
    Arccos,
    Arctan,
    Sinh,
    Cosh,
    Log,
    Exp,
    Absolute,
    Factorial,
    Binomial,
}

impl Expression {
    /// Whether the variable `name` occurs.
    pub(super) fn mentions(&self, name: &str) -> bool {
        match self {
            Self::Variable(variable) => variable == name,
            Self::Number(_) | Self::Pi | Self::Euler | Self::Imaginary => false,
            Self::Sum(parts) | Self::Product(parts) | Self::Function(_, parts) => {
                parts.iter().any(|part| part.mentions(name))
            }
            Self::Negate(inner) => inner.mentions(name),
            Self::Quotient(a, b) | Self::Power(a, b) => a.mentions(name) || b.mentions(name),
        }
    }
}
