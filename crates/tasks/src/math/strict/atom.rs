use dashu::rational::RBig;

use super::expression::{Expression, Function};
use super::limits::Stuck;
use super::parse::{Parser, one_or};
use super::token::Token;

/// A decimal literal's exact value.
pub(super) fn decimal(text: &str) -> Result<RBig, Stuck> {
    let text = if text.starts_with('.') { format!("0{text}") } else { text.to_owned() };
    RBig::from_str_decimal(&text).map_err(|_| Stuck::Syntax)
}

impl Parser {
    pub(super) fn atom(&mut self) -> Result<Expression, Stuck> {
        let token = self.peek().cloned().ok_or(Stuck::Syntax)?;
        self.at += 1;
        match token {
            Token::Number(text) => self.number(&text),
            Token::Name(name) => Ok(self.name(name)),
            Token::Word(word) => letters(&word),
            Token::Command("frac") => {
                let (a, b) = (self.argument()?, self.argument()?);
                Ok(Expression::Quotient(Box::new(a), Box::new(b)))
            }
            Token::Command("binom") => {
                let arguments = vec![self.argument()?, self.argument()?];
                Ok(Expression::Function(Function::Binomial, arguments))
            }
            Token::Command("sqrt") => self.root(),
            Token::Command(name) => self.function(name),
            Token::Symbol('(') => self.bracketed(')'),
            Token::Symbol('[') => self.bracketed(']'),
            Token::Symbol('{') => self.bracketed('}'),
            Token::Symbol('|') => {
                let inner = self.bracketed('|')?;
                Ok(Expression::Function(Function::Absolute, vec![inner]))
            }
            _ => Err(Stuck::Syntax),
        }
    }

    fn bracketed(&mut self, close: char) -> Result<Expression, Stuck> {
        let inner = self.nested(Self::sum)?;
        self.expect(close)?;
        Ok(inner)
    }

    /// A literal, with the fraction behind it if the two are a mixed number.
    fn number(&mut self, text: &str) -> Result<Expression, Stuck> {
        let value = decimal(text)?;
        let start = self.at;
        let fraction = match self.peek() {
            Some(Token::Command("frac")) => {
                self.at += 1;
                Some((self.argument()?, self.argument()?))
            }
            Some(Token::Number(numerator)) => {
                let numerator = Expression::Number(decimal(numerator)?);
                self.at += 1;
                if self.eat('/') { Some((numerator, self.atom()?)) } else { None }
            }
            _ => None,
        };
        if let Some((Expression::Number(a), Expression::Number(b))) = fraction
            && value.is_int()
            && a.is_int()
            && b.is_int()
            && a < b
            && a > RBig::ZERO
        {
            return Ok(Expression::Number(value + a / b));
        }
        self.at = start;
        Ok(Expression::Number(value))
    }

    fn name(&mut self, mut name: String) -> Expression {
        match name.as_str() {
            "pi" => return Expression::Pi,
            "e" => return Expression::Euler,
            "i" => return Expression::Imaginary,
            _ => {}
        }
        // A subscript is part of the name.
        let subscript = match &self.tokens[self.at..] {
            [Token::Symbol('_'), Token::Number(index) | Token::Name(index), ..] => Some((index, 2)),
            [
                Token::Symbol('_'),
                Token::Symbol('{'),
                Token::Number(index) | Token::Name(index),
                Token::Symbol('}'),
                ..,
            ] => Some((index, 4)),
            _ => None,
        };
        if let Some((index, length)) = subscript {
            name = format!("{name}_{index}");
            self.at += length;
        }
        Expression::Variable(name)
    }

    /// What a command or exponent applies to: a group, or one digit, letter or command. A multi-digit
    /// literal is cut after its first digit, as LaTeX does.
    pub(super) fn argument(&mut self) -> Result<Expression, Stuck> {
        self.nested(|parser| {
            let cut = match parser.peek() {
                Some(Token::Number(text)) => text.chars().next().map(|first| {
                    (
                        Token::Number(first.to_string()),
                        Token::Number(text[1..].to_owned()),
                        text.len(),
                    )
                }),
                Some(Token::Word(text)) => text.chars().next().map(|first| {
                    (Token::Name(first.to_string()), Token::Word(text[1..].to_owned()), text.len())
                }),
                _ => None,
            };
            if let Some((first, rest, length)) = cut
                && length > 1
            {
                let rest = match rest {
                    Token::Word(letter) if letter.len() == 1 => Token::Name(letter),
                    other => other,
                };
                parser.tokens.splice(parser.at..=parser.at, [first, rest]);
            }
            match parser.peek() {
                Some(Token::Number(text)) => {
                    let value = decimal(text)?;
                    parser.at += 1;
                    Ok(Expression::Number(value))
                }
                Some(Token::Symbol('-')) => {
                    parser.at += 1;
                    Ok(Expression::Negate(Box::new(parser.atom()?)))
                }
                _ => parser.atom(),
            }
        })
    }

    fn root(&mut self) -> Result<Expression, Stuck> {
        let index =
            if self.eat('[') { self.bracketed(']')? } else { Expression::Number(RBig::from(2)) };
        let radicand = self.argument()?;
        let exponent =
            Expression::Quotient(Box::new(Expression::Number(RBig::ONE)), Box::new(index));
        Ok(Expression::Power(Box::new(radicand), Box::new(exponent)))
    }

    fn function(&mut self, name: &str) -> Result<Expression, Stuck> {
        let function = match name {
            "sin" => Function::Sin,
            "cos" => Function::Cos,
            "tan" => Function::Tan,
            "cot" => Function::Cot,
            "sec" => Function::Sec,
            "csc" => Function::Csc,
            "arcsin" => Function::Arcsin,
            "arccos" => Function::Arccos,
            "arctan" => Function::Arctan,
            "sinh" => Function::Sinh,
            "cosh" => Function::Cosh,
            "log" | "ln" => Function::Log,
            "exp" => Function::Exp,
            _ => return Err(Stuck::Unsupported),
        };
        let base = match name {
            "log" if self.eat('_') => Some(self.argument()?),
            "log" => Some(Expression::Number(RBig::from(10))),
            _ => None,
        };
        let exponent = if self.eat('^') { Some(self.argument()?) } else { None };
        let outer = std::mem::replace(&mut self.in_function, true);
        let argument = self.nested(Self::function_argument);
        self.in_function = outer;
        let mut arguments = vec![argument?];
        arguments.extend(base);
        let value = Expression::Function(function, arguments);
        Ok(match exponent {
            Some(exponent) => Expression::Power(Box::new(value), Box::new(exponent)),
            None => value,
        })
    }

    /// A bracket, or the factors written side by side, e.g. `2x`.
    fn function_argument(&mut self) -> Result<Expression, Stuck> {
        let bracket = matches!(self.peek(), Some(Token::Symbol('(' | '{')));
        let mut factors = vec![self.factor()?];
        while !bracket && matches!(self.peek(), Some(Token::Name(_))) {
            factors.push(self.factor()?);
        }
        Ok(one_or(factors, Expression::Product))
    }
}

/// Up to three letters are a product of variables; more are a word, which is no formula.
fn letters(word: &str) -> Result<Expression, Stuck> {
    if word.len() > 3 {
        return Err(Stuck::Syntax);
    }
    let variable = |letter: char| match letter {
        'e' => Expression::Euler,
        'i' => Expression::Imaginary,
        _ => Expression::Variable(letter.to_string()),
    };
    Ok(Expression::Product(word.chars().map(variable).collect()))
}
