use dashu::base::BitTest;
use dashu::rational::RBig;

use super::expression::{Expression, Function};

/// A value in double precision and the largest magnitude met on the way to it, which scales its
/// rounding error.
#[derive(Clone, Copy, Debug)]
pub(super) struct Approximation {
    pub(super) value: Complex,
    pub(super) scale: f64,
}

/// A complex number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Complex {
    pub(super) re: f64,
    pub(super) im: f64,
}

/// The value of a formula at one fixed point of its variables; `None` where it is not finite, not
/// accurate or not implemented.
pub(super) fn approximate(formula: &Expression) -> Option<Approximation> {
    let mut scale = 1.0;
    let value = evaluate(formula, &mut scale)?;
    Some(Approximation { value, scale })
}

/// Whether two values differ by far more than rounding explains.
pub(super) fn clearly_different(a: &Approximation, b: &Approximation) -> bool {
    let distance = (a.value.re - b.value.re).hypot(a.value.im - b.value.im);
    distance > 1e-9 * a.scale.max(b.scale)
}

fn evaluate(formula: &Expression, scale: &mut f64) -> Option<Complex> {
    let value = match formula {
        Expression::Number(value) => Complex::real(value.to_f64().value()),
        Expression::Pi => Complex::real(std::f64::consts::PI),
        Expression::Euler => Complex::real(std::f64::consts::E),
        Expression::Imaginary => Complex { re: 0.0, im: 1.0 },
        Expression::Variable(name) if name == "infty" => return None,
        Expression::Variable(name) => Complex::real(sample(name)),
        Expression::Sum(terms) => {
            let mut sum = Complex::real(0.0);
            for term in terms {
                let term = evaluate(term, scale)?;
                sum = Complex { re: sum.re + term.re, im: sum.im + term.im };
            }
            sum
        }
        Expression::Product(factors) => {
            let mut product = Complex::real(1.0);
            for factor in factors {
                product = product.multiply(evaluate(factor, scale)?);
            }
            product
        }
        Expression::Negate(inner) => Complex::real(-1.0).multiply(evaluate(inner, scale)?),
        Expression::Quotient(a, b) => evaluate(a, scale)?.multiply(evaluate(b, scale)?.inverse()),
        Expression::Power(base, exponent) => {
            raise(evaluate(base, scale)?, exponent, evaluate(exponent, scale)?)
        }
        Expression::Function(function, arguments) => {
            let mut values = Vec::with_capacity(arguments.len());
            for argument in arguments {
                values.push(evaluate(argument, scale)?);
            }
            apply(*function, &values)?
        }
    };
    *scale = scale.max(value.magnitude());
    // Beyond this, absolute errors are too large to tell values apart.
    (value.magnitude() < 1e12).then_some(value)
}

/// Principal value, except that a negative base has real roots of odd index.
fn raise(base: Complex, exponent: &Expression, value: Complex) -> Complex {
    let odd_root = match exponent {
        Expression::Number(q) => Some(q.clone()),
        Expression::Quotient(a, b) => match (&**a, &**b) {
            (Expression::Number(a), Expression::Number(b)) if *b != RBig::ZERO => Some(a / b),
            _ => None,
        },
        _ => None,
    }
    .filter(|q| q.denominator().bit(0));
    if let (Some(q), true) = (odd_root, base.im == 0.0 && base.re < 0.0) {
        let magnitude = (-base.re).powf(value.re);
        let odd = q.numerator().bit(0);
        return Complex::real(if odd { -magnitude } else { magnitude });
    }
    if base.magnitude() == 0.0 {
        let zero = value.re > 0.0;
        return Complex::real(if zero { 0.0 } else { f64::NAN });
    }
    base.ln().multiply(value).exp()
}

fn apply(function: Function, arguments: &[Complex]) -> Option<Complex> {
    let x = *arguments.first()?;
    // Large angles lose their accuracy to the reduction modulo 2 pi.
    let real = || (x.im == 0.0 && x.re.abs() < 1e6).then_some(x.re);
    let real = |f: fn(f64) -> f64| real().map(|x| Complex::real(f(x)));
    match function {
        Function::Sin => real(f64::sin),
        Function::Cos => real(f64::cos),
        Function::Tan => real(f64::tan),
        Function::Cot => real(|x| 1.0 / x.tan()),
        Function::Sec => real(|x| 1.0 / x.cos()),
        Function::Csc => real(|x| 1.0 / x.sin()),
        Function::Arcsin => real(f64::asin),
        Function::Arccos => real(f64::acos),
        Function::Arctan => real(f64::atan),
        Function::Sinh => real(f64::sinh),
        Function::Cosh => real(f64::cosh),
        Function::Exp => Some(x.exp()),
        Function::Absolute => Some(Complex::real(x.magnitude())),
        Function::Log => match arguments.get(1) {
            Some(base) => Some(x.ln().multiply(base.ln().inverse())),
            None => Some(x.ln()),
        },
        Function::Factorial | Function::Binomial => None,
    }
}

/// A value between 0.5 and 1.5 that depends on the variable's name alone (FNV-1a).
fn sample(name: &str) -> f64 {
    let hash = name
        .bytes()
        .fold(0x811c_9dc5u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    0.5 + f64::from(hash) / f64::from(u32::MAX)
}

impl Complex {
    fn real(re: f64) -> Self {
        Self { re, im: 0.0 }
    }

    fn magnitude(self) -> f64 {
        self.re.hypot(self.im)
    }

    fn multiply(self, other: Self) -> Self {
        Self {
            re: self.re * other.re - self.im * other.im,
            im: self.re * other.im + self.im * other.re,
        }
    }

    fn inverse(self) -> Self {
        let square = self.re * self.re + self.im * self.im;
        Self { re: self.re / square, im: -self.im / square }
    }

    fn ln(self) -> Self {
        Self { re: self.magnitude().ln(), im: self.im.atan2(self.re) }
    }

    fn exp(self) -> Self {
        let magnitude = self.re.exp();
        Self { re: magnitude * self.im.cos(), im: magnitude * self.im.sin() }
    }
}
