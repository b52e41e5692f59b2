use super::expression::{Expression, Function};
use super::limits::{MAX_DEPTH, Stuck};
use super::token::Token;

/// Which of its two values `a \pm b` takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Branch {
    Upper,
    Lower,
}

/// Reads all `tokens` as one formula.
pub(super) fn expression(tokens: &[Token], branch: Branch) -> Result<Expression, Stuck> {
    let mut parser =
        Parser { tokens: tokens.to_vec(), at: 0, depth: 0, in_function: false, branch };
    let formula = parser.sum()?;
    if parser.peek().is_some() { Err(Stuck::Syntax) } else { Ok(formula) }
}

/// Recursive descent: sums of products of factors here, atoms in [`super::atom`].
pub(super) struct Parser {
    pub(super) tokens: Vec<Token>,
    pub(super) at: usize,
    depth: usize,
    /// Inside an argument a degree sign is not a mere unit, and is not understood.
    pub(super) in_function: bool,
    branch: Branch,
}

impl Parser {
    pub(super) fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    pub(super) fn eat(&mut self, symbol: char) -> bool {
        let found = self.peek().is_some_and(|token| token.is(symbol));
        self.at += usize::from(found);
        found
    }

    pub(super) fn expect(&mut self, symbol: char) -> Result<(), Stuck> {
        if self.eat(symbol) { Ok(()) } else { Err(Stuck::Syntax) }
    }

    pub(super) fn nested<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, Stuck>,
    ) -> Result<T, Stuck> {
        if self.depth == MAX_DEPTH {
            return Err(Stuck::TooDeep);
        }
        self.depth += 1;
        let inner = read(self);
        self.depth -= 1;
        inner
    }

    /// A sign if there is one: whether it is negative.
    fn sign(&mut self) -> Option<bool> {
        let negative = match self.peek()? {
            Token::Symbol('+') => false,
            Token::Symbol('-') => true,
            Token::Symbol('±') => self.branch == Branch::Lower,
            Token::Symbol('∓') => self.branch == Branch::Upper,
            _ => return None,
        };
        self.at += 1;
        Some(negative)
    }

    pub(super) fn sum(&mut self) -> Result<Expression, Stuck> {
        let mut terms = Vec::new();
        loop {
            let mut negative = false;
            let mut signs = 0;
            while let Some(minus) = self.sign() {
                negative ^= minus;
                signs += 1;
            }
            if signs == 0 && !terms.is_empty() {
                break;
            }
            let term = self.product()?;
            terms.push(if negative { Expression::Negate(Box::new(term)) } else { term });
        }
        Ok(one_or(terms, Expression::Sum))
    }

    /// Factors and divisors from left to right, so that `a/b/c d` is `(a d)/(b c)`. Collecting them
    /// keeps long chains flat.
    fn product(&mut self) -> Result<Expression, Stuck> {
        let mut factors = vec![self.factor()?];
        let mut divisors = Vec::new();
        loop {
            if self.eat('*') {
                factors.push(self.signed_factor()?);
            } else if self.eat('/') {
                divisors.push(self.signed_factor()?);
            } else if self.skip_unit()? {
            } else if self.starts_factor() {
                // Two literals side by side are no product.
                if matches!(self.peek(), Some(Token::Number(_))) {
                    return Err(Stuck::Syntax);
                }
                factors.push(self.factor()?);
            } else {
                break;
            }
        }
        let product = one_or(factors, Expression::Product);
        if divisors.is_empty() {
            return Ok(product);
        }
        let divisor = one_or(divisors, Expression::Product);
        Ok(Expression::Quotient(Box::new(product), Box::new(divisor)))
    }

    fn signed_factor(&mut self) -> Result<Expression, Stuck> {
        match self.sign() {
            Some(true) => Ok(Expression::Negate(Box::new(self.factor()?))),
            _ => self.factor(),
        }
    }

    /// Whether a factor begins here without a sign of multiplication. A LaTeX group does not: `4{10}`
    /// looks like 410 and is most likely a slip.
    fn starts_factor(&self) -> bool {
        matches!(
            self.peek(),
            Some(Token::Number(_) | Token::Name(_) | Token::Word(_) | Token::Command(_))
                | Some(Token::Symbol('(' | '['))
        )
    }

    /// Passes over a unit of measure, which must follow a quantity and may carry an exponent.
    fn skip_unit(&mut self) -> Result<bool, Stuck> {
        match self.peek() {
            Some(Token::Text(_)) => {}
            Some(Token::Word(word)) if is_unit(word) => {}
            _ => return Ok(false),
        }
        self.at += 1;
        if self.eat('^') {
            self.argument()?;
        }
        Ok(true)
    }

    /// An atom with its exponents, factorials, degree and per-cent signs.
    pub(super) fn factor(&mut self) -> Result<Expression, Stuck> {
        let mut base = self.atom()?;
        let mut raised = false;
        loop {
            if self.eat('^') {
                if self.degree() {
                    continue;
                }
                // `a^b^c` is an error in LaTeX too.
                if std::mem::replace(&mut raised, true) {
                    return Err(Stuck::Syntax);
                }
                let exponent = self.argument()?;
                base = Expression::Power(Box::new(base), Box::new(exponent));
            } else if self.eat('!') {
                if std::mem::replace(&mut raised, true) {
                    return Err(Stuck::Unsupported);
                }
                base = Expression::Function(Function::Factorial, vec![base]);
            } else if self.eat('%') || self.degree() {
                if self.in_function {
                    return Err(Stuck::Unsupported);
                }
            } else {
                return Ok(base);
            }
        }
    }

    /// Passes over `\circ` or `{\circ}`.
    fn degree(&mut self) -> bool {
        let is =
            |at: usize, symbol| self.tokens.get(at).is_some_and(|token: &Token| token.is(symbol));
        let length = if is(self.at, '°') {
            1
        } else if is(self.at, '{') && is(self.at + 1, '°') && is(self.at + 2, '}') {
            3
        } else {
            return false;
        };
        if self.in_function {
            return false;
        }
        self.at += length;
        true
    }
}

pub(super) fn one_or(
    mut parts: Vec<Expression>,
    many: fn(Vec<Expression>) -> Expression,
) -> Expression {
    match (parts.len(), parts.pop()) {
        (1, Some(only)) => only,
        (_, last) => {
            parts.extend(last);
            many(parts)
        }
    }
}

fn is_unit(word: &str) -> bool {
    const UNITS: [&str; 32] = [
        "cm", "mm", "km", "ft", "in", "kg", "mg", "lb", "lbs", "mph", "meter", "meters", "inch",
        "inches", "feet", "foot", "mile", "miles", "yard", "yards", "unit", "units", "degrees",
        "degree", "dollars", "cents", "hours", "minutes", "seconds", "days", "percent", "square",
    ];
    UNITS.contains(&word)
}
