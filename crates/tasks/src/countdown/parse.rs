use dashu::integer::UBig;
use serde::{Deserialize, Serialize};

use super::{Expression, ExpressionError, Literal, Operation};

/// What may be written.
///
/// In both, `**` and `//` are errors. Python would evaluate them, and d1 lets them through its filter
/// of characters; this is the one place where the d1 profile departs from d1, because `9**9**9` never
/// ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Syntax {
    /// Whole numbers, `+ - * / ( )` and white space.
    Strict,
    /// What Python's `eval` accepts from d1's characters: also decimals, but no leading zeros and no
    /// line breaks outside parentheses.
    Python,
}

const MAX_BYTES: usize = 1024;
const MAX_DEPTH: usize = 64;
const MAX_DIGITS: usize = 40;

impl Expression {
    /// Reads a whole text as an expression. Takes time linear in its length, which is limited, as are
    /// nesting and the length of numbers; so evaluating the result is cheap too.
    ///
    /// # Errors
    /// See [`ExpressionError`].
    pub fn parse(text: &str, syntax: Syntax) -> Result<Self, ExpressionError> {
        if text.len() > MAX_BYTES {
            return Err(ExpressionError::TooLong { found: text.len(), limit: MAX_BYTES });
        }
        let mut parser = Parser { text: text.trim_end(), at: 0, syntax, depth: 0, brackets: 0 };
        parser.skip_blanks();
        let expression = parser.sum()?;
        match parser.peek() {
            None => Ok(expression),
            Some(_) => Err(parser.unexpected()),
        }
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    syntax: Syntax,
    /// Nesting of parentheses and signs, which is also the depth of recursion.
    depth: usize,
    /// Nesting of parentheses alone.
    brackets: usize,
}

impl Parser<'_> {
    fn sum(&mut self) -> Result<Expression, ExpressionError> {
        let mut left = self.product()?;
        loop {
            let operation = match self.peek() {
                Some('+') => Operation::Add,
                Some('-') => Operation::Subtract,
                _ => return Ok(left),
            };
            self.advance();
            left = Expression::binary(operation, left, self.product()?);
        }
    }

    fn product(&mut self) -> Result<Expression, ExpressionError> {
        let mut left = self.factor()?;
        loop {
            let operation = match self.peek() {
                Some('*') if self.text[self.at..].starts_with("**") => {
                    return Err(ExpressionError::Exponent { at: self.at });
                }
                Some('^') => return Err(ExpressionError::Exponent { at: self.at }),
                Some('*') => Operation::Multiply,
                Some('/') => Operation::Divide,
                _ => return Ok(left),
            };
            self.advance();
            left = Expression::binary(operation, left, self.factor()?);
        }
    }

    fn factor(&mut self) -> Result<Expression, ExpressionError> {
        match self.peek() {
            Some('-') => {
                let inner = self.nested(Self::factor)?;
                Ok(Expression::Negate(Box::new(inner)))
            }
            Some('+') => self.nested(Self::factor),
            Some('(') => {
                self.brackets += 1;
                let inner = self.nested(Self::sum)?;
                if self.peek() != Some(')') {
                    return Err(self.unexpected());
                }
                self.brackets -= 1;
                self.advance();
                Ok(inner)
            }
            Some(c) if c.is_ascii_digit() || c == '.' => self.number(),
            _ => Err(self.unexpected()),
        }
    }

    /// Skips the current character and reads what follows one level down.
    fn nested(
        &mut self,
        read: impl Fn(&mut Self) -> Result<Expression, ExpressionError>,
    ) -> Result<Expression, ExpressionError> {
        if self.depth == MAX_DEPTH {
            return Err(ExpressionError::TooDeep { limit: MAX_DEPTH });
        }
        self.depth += 1;
        self.advance();
        let inner = read(self)?;
        self.depth -= 1;
        Ok(inner)
    }

    fn number(&mut self) -> Result<Expression, ExpressionError> {
        let start = self.at;
        let rest = &self.text[start..];
        let decimal = |c: char| c.is_ascii_digit() || (c == '.' && self.syntax == Syntax::Python);
        let written = &rest[..rest.find(|c| !decimal(c)).unwrap_or(rest.len())];
        if written.len() > MAX_DIGITS {
            return Err(ExpressionError::NumberTooLong { at: start, limit: MAX_DIGITS });
        }
        let (whole, fraction) = written.split_once('.').unwrap_or((written, ""));
        let digits = format!("{whole}{fraction}");
        // Python: an integer other than zero must not start with a zero.
        let leading_zero = self.syntax == Syntax::Python
            && !written.contains('.')
            && written.starts_with('0')
            && written.bytes().any(|byte| byte != b'0');
        // `digits` still holds a point where the text has two of them.
        let (Ok(digits), false) = (UBig::from_str_radix(&digits, 10), leading_zero) else {
            return Err(self.unexpected());
        };
        self.at += written.len();
        self.skip_blanks();
        // At most MAX_DIGITS digits, so the scale fits.
        Ok(Expression::Number(Literal { digits, scale: fraction.len() as u8 }))
    }

    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn advance(&mut self) {
        self.at += self.peek().map_or(0, char::len_utf8);
        self.skip_blanks();
    }

    fn skip_blanks(&mut self) {
        let one_line = self.syntax == Syntax::Python && self.brackets == 0 && self.at > 0;
        let blank = |c: char| c.is_whitespace() && !(one_line && matches!(c, '\n' | '\r'));
        let rest = &self.text[self.at..];
        self.at += rest.find(|c| !blank(c)).unwrap_or(rest.len());
    }

    fn unexpected(&self) -> ExpressionError {
        match self.peek() {
            Some(found) => ExpressionError::Unexpected { at: self.at, found },
            None => ExpressionError::Incomplete,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use dashu::rational::RBig;
    use proptest::prelude::*;

    use super::*;

    fn value(text: &str, syntax: Syntax) -> Result<RBig, ExpressionError> {
        Expression::parse(text, syntax)?.evaluate()
    }

    #[test]
    fn precedence_and_signs() {
        for (text, expected) in [
            ("(30+93)-100", "23"),
            (" 8 / 4 / 2 ", "1"),
            ("2-3-4", "-5"),
            ("-2*-3", "6"),
            ("1/3", "1/3"),
            ("+7 - (2\n+ 1)", "4"),
        ] {
            let expected: RBig = expected.parse().unwrap();
            for syntax in [Syntax::Strict, Syntax::Python] {
                assert_eq!(value(text, syntax).as_ref(), Ok(&expected), "{text}");
            }
        }
    }

    #[test]
    fn the_two_syntaxes_differ_as_documented() {
        assert_eq!(value("007", Syntax::Strict), Ok(RBig::from(7)));
        assert!(value("007", Syntax::Python).is_err() && value("00", Syntax::Python).is_ok());
        assert!(value("0.5*4", Syntax::Strict).is_err());
        assert_eq!(value(".5*4.", Syntax::Python), Ok(RBig::from(2)));
        assert!(value("1..5", Syntax::Python).is_err() && value(".", Syntax::Python).is_err());
        assert!(value("1+\n2", Syntax::Python).is_err() && value("1+\n2", Syntax::Strict).is_ok());
    }

    #[test]
    fn hostile_texts_are_typed_errors() {
        type E = ExpressionError;
        let parse = |text: &str| Expression::parse(text, Syntax::Strict).unwrap_err();
        assert_eq!(parse("9**9**9"), E::Exponent { at: 1 });
        assert_eq!(parse("9^9^9"), E::Exponent { at: 1 });
        assert_eq!(parse("9//2"), E::Unexpected { at: 2, found: '/' });
        assert!(matches!(parse(&"(".repeat(100_000)), E::TooLong { .. }));
        assert_eq!(parse(&"(".repeat(1000)), E::TooDeep { limit: MAX_DEPTH });
        assert_eq!(parse(&"-".repeat(1000)), E::TooDeep { limit: MAX_DEPTH });
        assert_eq!(parse(&"9".repeat(1000)), E::NumberTooLong { at: 0, limit: MAX_DIGITS });
        assert_eq!(parse(""), E::Incomplete);
        assert_eq!(parse("(1"), E::Incomplete);
        assert_eq!(parse("1 2"), E::Unexpected { at: 2, found: '2' });
        assert_eq!(parse("(1)(2)"), E::Unexpected { at: 3, found: '(' });
        assert_eq!(value("1/(2-2)", Syntax::Strict), Err(E::DivisionByZero));
        let long = "1*".repeat(511) + "1";
        assert_eq!(value(&long, Syntax::Strict), Ok(RBig::ONE));
    }

    fn expressions() -> impl Strategy<Value = Expression> {
        let literal = (0u64..10_000, 0u8..4).prop_map(|(digits, scale)| {
            Expression::Number(Literal { digits: digits.into(), scale })
        });
        literal.prop_recursive(6, 40, 2, |inner| {
            let operation = prop::sample::select(&Operation::ALL[..]);
            prop_oneof![
                1 => inner.clone().prop_map(|inner| Expression::Negate(Box::new(inner))),
                4 => (operation, inner.clone(), inner)
                    .prop_map(|(operation, left, right)| Expression::binary(operation, left, right)),
            ]
        })
    }

    proptest! {
        #[test]
        fn printing_and_parsing_are_inverse(expression in expressions()) {
            for text in [format!("{expression}"), format!("{expression:#}")] {
                prop_assert_eq!(Expression::parse(&text, Syntax::Python), Ok(expression.clone()));
            }
        }

        #[test]
        fn no_text_panics(text in ".{0,60}", close in "[0-9+*/(). \n-]{0,60}") {
            for text in [text, close] {
                for syntax in [Syntax::Strict, Syntax::Python] {
                    let _ = value(&text, syntax);
                }
            }
        }
    }
}
