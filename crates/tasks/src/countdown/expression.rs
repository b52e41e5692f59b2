use std::fmt;

use dashu::base::Abs;
use dashu::integer::{IBig, UBig};
use dashu::rational::RBig;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// An arithmetic expression over non-negative literals.
///
/// `Display` writes it with as few parentheses as parsing it back needs; the alternate form `{:#}`
/// puts a space between all tokens, for word-level vocabularies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expression {
    /// A literal.
    Number(Literal),
    /// `-x`.
    Negate(Box<Expression>),
    /// `left operation right`.
    Binary {
        /// The operation.
        operation: Operation,
        /// Left operand.
        left: Box<Expression>,
        /// Right operand.
        right: Box<Expression>,
    },
}

/// A decimal literal: `digits / 10^scale`, written with `scale` digits after the point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Literal {
    /// The digits without the point.
    pub digits: UBig,
    /// How many of them follow the point.
    pub scale: u8,
}

/// One of the four operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Operation {
    /// `+`
    #[serde(rename = "+")]
    Add,
    /// `-`
    #[serde(rename = "-")]
    Subtract,
    /// `*`
    #[serde(rename = "*")]
    Multiply,
    /// `/`
    #[serde(rename = "/")]
    Divide,
}

/// Why a text has no value as an arithmetic expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ExpressionError {
    /// More text than any answer needs.
    #[error("expression of {found} bytes is longer than the limit of {limit}")]
    TooLong {
        /// Length of the text.
        found: usize,
        /// Longest text read.
        limit: usize,
    },
    /// Parentheses or signs nested too deeply.
    #[error("expression nests deeper than {limit} levels")]
    TooDeep {
        /// Deepest nesting read.
        limit: usize,
    },
    /// A literal with too many digits.
    #[error("number at byte {at} has more than {limit} digits")]
    NumberTooLong {
        /// Byte offset.
        at: usize,
        /// Most digits read.
        limit: usize,
    },
    /// `**` or `^`: never evaluated, because a short text can denote an endless number.
    #[error("exponent at byte {at}: only + - * / are allowed")]
    Exponent {
        /// Byte offset.
        at: usize,
    },
    /// A character that cannot stand where it does.
    #[error("unexpected {found:?} at byte {at}")]
    Unexpected {
        /// Byte offset.
        at: usize,
        /// The character.
        found: char,
    },
    /// The text stops where an operand belongs.
    #[error("expression ends too early")]
    Incomplete,
    /// A division by zero.
    #[error("division by zero")]
    DivisionByZero,
    /// A solution step that uses a number which is not there, or states a wrong result.
    #[error("step {step} does not follow from the numbers left")]
    WrongStep {
        /// One-based step.
        step: usize,
    },
}

impl Operation {
    /// All four.
    pub const ALL: [Self; 4] = [Self::Add, Self::Subtract, Self::Multiply, Self::Divide];

    /// `left operation right`, exactly; `None` for a division by zero.
    pub fn apply(self, left: &RBig, right: &RBig) -> Option<RBig> {
        Some(match self {
            Self::Add => left + right,
            Self::Subtract => left - right,
            Self::Multiply => left * right,
            Self::Divide if right.is_zero() => return None,
            Self::Divide => left / right,
        })
    }

    const fn symbol(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
        }
    }

    const fn precedence(self) -> u8 {
        match self {
            Self::Add | Self::Subtract => 1,
            Self::Multiply | Self::Divide => 2,
        }
    }
}

impl Expression {
    /// An integer literal.
    pub fn integer(value: u64) -> Self {
        Self::Number(Literal { digits: value.into(), scale: 0 })
    }

    /// `left operation right`.
    pub fn binary(operation: Operation, left: Self, right: Self) -> Self {
        Self::Binary { operation, left: Box::new(left), right: Box::new(right) }
    }

    /// The exact value.
    ///
    /// # Errors
    /// [`ExpressionError::DivisionByZero`].
    pub fn evaluate(&self) -> Result<RBig, ExpressionError> {
        match self {
            Self::Number(literal) => Ok(literal.value()),
            Self::Negate(inner) => Ok(-inner.evaluate()?),
            Self::Binary { operation, left, right } => operation
                .apply(&left.evaluate()?, &right.evaluate()?)
                .ok_or(ExpressionError::DivisionByZero),
        }
    }

    fn precedence(&self) -> u8 {
        match self {
            Self::Binary { operation, .. } => operation.precedence(),
            Self::Negate(_) => 3,
            Self::Number(_) => 4,
        }
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, weakest: u8) -> fmt::Result {
        let space = if f.alternate() { " " } else { "" };
        if self.precedence() < weakest {
            write!(f, "({space}")?;
            self.write(f, 0)?;
            return write!(f, "{space})");
        }
        match self {
            Self::Number(literal) => write!(f, "{literal}"),
            Self::Negate(inner) => {
                write!(f, "-{space}")?;
                inner.write(f, 3)
            }
            Self::Binary { operation, left, right } => {
                left.write(f, operation.precedence())?;
                write!(f, "{space}{}{space}", operation.symbol())?;
                // All four operations are read from left to right, so an equal one needs brackets.
                right.write(f, operation.precedence() + 1)
            }
        }
    }
}

impl Literal {
    /// The exact value.
    pub fn value(&self) -> RBig {
        RBig::from_parts(IBig::from(self.digits.clone()), UBig::from(10u8).pow(self.scale.into()))
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, 0)
    }
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.digits.to_string();
        if self.scale == 0 {
            return f.write_str(&digits);
        }
        let scale = usize::from(self.scale);
        let digits = format!("{digits:0>width$}", width = scale + 1);
        let (whole, fraction) = digits.split_at(digits.len() - scale);
        write!(f, "{whole}.{fraction}")
    }
}

/// Whether `value` is within d1's tolerance of 1e-5 of `target`.
pub(super) fn near(value: &RBig, target: u64) -> bool {
    (value - RBig::from(target)).abs() < RBig::from_parts(IBig::from(1), UBig::from(100_000u32))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn brackets_appear_only_where_needed() {
        let n = Expression::integer;
        let difference = Expression::binary(Operation::Subtract, n(1), n(2));
        let nested =
            Expression::binary(Operation::Subtract, difference.clone(), difference.clone());
        assert_eq!(nested.to_string(), "1-2-(1-2)");
        let negated = Expression::Negate(Box::new(difference));
        assert_eq!(format!("{negated:#}"), "- ( 1 - 2 )");
        let half = Expression::Number(Literal { digits: 5u8.into(), scale: 2 });
        assert_eq!(half.to_string(), "0.05");
    }

    #[test]
    fn values_are_exact() {
        let third =
            Expression::binary(Operation::Divide, Expression::integer(1), Expression::integer(3));
        let one = Expression::binary(Operation::Multiply, third, Expression::integer(3));
        assert_eq!(one.evaluate().unwrap(), RBig::ONE);
        let zero =
            Expression::binary(Operation::Divide, Expression::integer(1), Expression::integer(0));
        assert_eq!(zero.evaluate(), Err(ExpressionError::DivisionByZero));
    }

    #[test]
    fn the_tolerance_of_d1() {
        let value = |text: &str| RBig::from_str_decimal(text).unwrap();
        assert!(near(&value("23.0000099"), 23) && !near(&value("22.99999"), 23));
    }
}
