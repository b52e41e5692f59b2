use dashu::base::{Abs, UnsignedAbs};
use dashu::integer::{IBig, UBig};
use dashu::rational::RBig;

use super::expression::{Expression, Function};
use super::factor::prime_factors;
use super::limits::{Fuel, Stuck};
use super::polynomial::{Atom, Monomial, Polynomial, power};

/// Largest whole exponent of a sum, and largest index of a root.
const MAX_EXPONENT: i64 = 64;

/// Largest argument of a factorial or binomial.
const MAX_FACTORIAL: u64 = 200;

/// A quotient of polynomials; the denominator is not zero, and 1 where it is a single term.
#[derive(Clone, Debug)]
pub(super) struct Fraction {
    pub(super) numerator: Polynomial,
    pub(super) denominator: Polynomial,
}

/// The canonical form of a formula.
pub(super) fn canonical(formula: &Expression, fuel: &mut Fuel) -> Result<Fraction, Stuck> {
    fuel.spend(1)?;
    Ok(match formula {
        Expression::Number(value) => Polynomial::constant(value.clone()).into(),
        Expression::Pi => Polynomial::atom(Atom::Pi).into(),
        Expression::Euler => Polynomial::atom(Atom::Euler).into(),
        Expression::Imaginary => Polynomial::atom(Atom::Imaginary).into(),
        Expression::Variable(name) => Polynomial::atom(Atom::Variable(name.clone())).into(),
        Expression::Sum(terms) => {
            let mut sum = Fraction::from(Polynomial::default());
            for term in terms {
                sum = sum.add(&canonical(term, fuel)?, fuel)?;
            }
            sum
        }
        Expression::Product(factors) => {
            let mut product = Fraction::from(Polynomial::constant(RBig::ONE));
            for factor in factors {
                product = product.multiply(&canonical(factor, fuel)?, fuel)?;
            }
            product
        }
        Expression::Negate(inner) => canonical(inner, fuel)?.negate()?,
        Expression::Quotient(a, b) => {
            let (a, b) = (canonical(a, fuel)?, canonical(b, fuel)?);
            a.multiply(&b.inverse(fuel)?, fuel)?
        }
        Expression::Power(base, exponent) => {
            let (base, exponent) = (canonical(base, fuel)?, canonical(exponent, fuel)?);
            match exponent.as_constant() {
                Some(exponent) if exponent.is_int() => {
                    base.whole_power(exponent.numerator(), fuel)?
                }
                Some(exponent) => base.root(&exponent, fuel)?,
                None => opaque("power", &[base, exponent], fuel)?,
            }
        }
        Expression::Function(function, arguments) => {
            let arguments = arguments
                .iter()
                .map(|argument| canonical(argument, fuel))
                .collect::<Result<Vec<_>, _>>()?;
            apply(*function, &arguments, fuel)?
        }
    })
}

impl From<Polynomial> for Fraction {
    fn from(numerator: Polynomial) -> Self {
        Self { numerator, denominator: Polynomial::constant(RBig::ONE) }
    }
}

impl Fraction {
    /// Whether the two are the same function: `a/b = c/d` iff `ad = bc`.
    pub(super) fn equals(&self, other: &Self, fuel: &mut Fuel) -> Result<bool, Stuck> {
        let left = self.numerator.multiply(&other.denominator, fuel)?;
        Ok(left == other.numerator.multiply(&self.denominator, fuel)?)
    }

    pub(super) fn is_opaque(&self) -> bool {
        self.numerator.is_opaque() || self.denominator.is_opaque()
    }

    pub(super) fn subtract(&self, other: &Self, fuel: &mut Fuel) -> Result<Self, Stuck> {
        self.clone().add(&other.clone().negate()?, fuel)
    }

    /// The value, if it is a plain number.
    fn as_constant(&self) -> Option<RBig> {
        self.polynomial()?.as_constant()
    }

    /// The numerator, if the denominator is 1.
    pub(super) fn polynomial(&self) -> Option<&Polynomial> {
        (self.denominator.as_constant() == Some(RBig::ONE)).then_some(&self.numerator)
    }

    fn negate(self) -> Result<Self, Stuck> {
        Ok(Self { numerator: self.numerator.scale(&-RBig::ONE)?, denominator: self.denominator })
    }

    fn add(self, other: &Self, fuel: &mut Fuel) -> Result<Self, Stuck> {
        if self.denominator == other.denominator {
            let numerator = self.numerator.add(&other.numerator, fuel)?;
            return Ok(Self { numerator, denominator: self.denominator });
        }
        let left = self.numerator.multiply(&other.denominator, fuel)?;
        let right = other.numerator.multiply(&self.denominator, fuel)?;
        let denominator = self.denominator.multiply(&other.denominator, fuel)?;
        Self { numerator: left.add(&right, fuel)?, denominator }.folded(fuel)
    }

    fn multiply(&self, other: &Self, fuel: &mut Fuel) -> Result<Self, Stuck> {
        let numerator = self.numerator.multiply(&other.numerator, fuel)?;
        let denominator = self.denominator.multiply(&other.denominator, fuel)?;
        Self { numerator, denominator }.folded(fuel)
    }

    fn inverse(self, fuel: &mut Fuel) -> Result<Self, Stuck> {
        if self.numerator.is_zero() {
            return Err(Stuck::Undefined);
        }
        Self { numerator: self.denominator, denominator: self.numerator }.folded(fuel)
    }

    /// Moves a denominator of one term into the numerator.
    fn folded(self, fuel: &mut Fuel) -> Result<Self, Stuck> {
        let Some((monomial, coefficient)) = self.denominator.single_term() else {
            return Ok(self);
        };
        let inverted = monomial.iter().map(|(atom, exponent)| (atom.clone(), -exponent)).collect();
        let inverse = Polynomial::reduced(RBig::ONE / coefficient, inverted)?;
        Ok(self.numerator.multiply(&inverse, fuel)?.into())
    }

    fn whole_power(self, exponent: &IBig, fuel: &mut Fuel) -> Result<Self, Stuck> {
        if self.numerator.is_zero() {
            return if exponent > &IBig::ZERO { Ok(self) } else { Err(Stuck::Undefined) };
        }
        if let Some((monomial, coefficient)) = self.polynomial().and_then(Polynomial::single_term) {
            let factor = RBig::from(exponent.clone());
            let raised = monomial.iter().map(|(atom, e)| (atom.clone(), e * &factor)).collect();
            let raised = if *exponent == IBig::ZERO { Monomial::new() } else { raised };
            return Ok(Polynomial::reduced(power(coefficient, exponent)?, raised)?.into());
        }
        let times = i64::try_from(exponent).map_err(|_| Stuck::TooLarge)?;
        if times.abs() > MAX_EXPONENT {
            return Err(Stuck::TooLarge);
        }
        let base = if times < 0 { self.inverse(fuel)? } else { self };
        let mut product = Fraction::from(Polynomial::constant(RBig::ONE));
        for _ in 0..times.abs() {
            product = product.multiply(&base, fuel)?;
        }
        Ok(product)
    }

    /// The power to an exponent that is not whole; the real root where there is one, so that the cube
    /// root of -8 is -2.
    fn root(self, exponent: &RBig, fuel: &mut Fuel) -> Result<Self, Stuck> {
        if self.numerator.is_zero() {
            return if *exponent > RBig::ZERO { Ok(self) } else { Err(Stuck::Undefined) };
        }
        let index = i64::try_from(exponent.denominator()).map_err(|_| Stuck::TooLarge)?;
        if index > MAX_EXPONENT || exponent.numerator().clone().abs() > IBig::from(MAX_EXPONENT) {
            return Err(Stuck::TooLarge);
        }
        let whole_root_of = |atom: &Atom, e: &RBig| match atom {
            // The root of x^2 is |x|.
            Atom::Variable(_) | Atom::Opaque(_) => {
                e.is_int() && e.numerator() % 2 == 0 && index % 2 == 0
            }
            Atom::Imaginary => true,
            Atom::Prime(_) | Atom::Pi | Atom::Euler => false,
        };
        let Some((monomial, coefficient)) = self
            .polynomial()
            .and_then(Polynomial::single_term)
            .filter(|(monomial, _)| !monomial.iter().any(|(atom, e)| whole_root_of(atom, e)))
        else {
            let exponent = Polynomial::constant(exponent.clone()).into();
            return opaque("power", &[self, exponent], fuel);
        };
        let mut raised: Monomial =
            monomial.iter().map(|(atom, e)| (atom.clone(), e * exponent)).collect();
        let mut sign = RBig::ONE;
        if *coefficient < RBig::ZERO {
            if index % 2 == 1 {
                let odd = exponent.numerator() % 2 != 0;
                sign = if odd { -RBig::ONE } else { RBig::ONE };
            } else if index == 2 {
                raised.insert(Atom::Imaginary, RBig::from(exponent.numerator().clone()));
            } else {
                return Err(Stuck::Unsupported);
            }
        }
        let parts = [
            (coefficient.numerator().clone().unsigned_abs(), exponent.clone()),
            (coefficient.denominator().clone(), -exponent),
        ];
        for (part, exponent) in parts {
            for (prime, multiplicity) in prime_factors(&part, fuel)? {
                *raised.entry(Atom::Prime(prime)).or_insert(RBig::ZERO) +=
                    &exponent * RBig::from(multiplicity);
            }
        }
        Ok(Polynomial::reduced(sign, raised)?.into())
    }
}

fn apply(function: Function, arguments: &[Fraction], fuel: &mut Fuel) -> Result<Fraction, Stuck> {
    let constants: Option<Vec<RBig>> = arguments.iter().map(Fraction::as_constant).collect();
    let value = match (function, constants.as_deref()) {
        (Function::Absolute, Some([x])) => x.clone().abs(),
        (Function::Factorial, Some([n])) => falling(small(n)?, small(n)?)?,
        (Function::Binomial, Some([n, k])) => {
            let (n, k) = (small(n)?, small(k)?);
            if k > n { RBig::ZERO } else { falling(n, k)? / falling(k, k)? }
        }
        (Function::Exp, _) => return opaque_power_of_e(arguments, fuel),
        _ => return opaque(&format!("{function:?}"), arguments, fuel),
    };
    Ok(Polynomial::constant(value).into())
}

/// `exp(x)` under the same name as `e^x`.
fn opaque_power_of_e(arguments: &[Fraction], fuel: &mut Fuel) -> Result<Fraction, Stuck> {
    let base = Fraction::from(Polynomial::atom(Atom::Euler));
    match arguments {
        [x] => match x.as_constant() {
            Some(exponent) if exponent.is_int() => base.whole_power(exponent.numerator(), fuel),
            Some(exponent) => base.root(&exponent, fuel),
            None => opaque("power", &[base, x.clone()], fuel),
        },
        _ => Err(Stuck::Syntax),
    }
}

fn small(value: &RBig) -> Result<u64, Stuck> {
    if !value.is_int() || *value < RBig::ZERO {
        return Err(Stuck::Unsupported);
    }
    let value = u64::try_from(value.numerator()).map_err(|_| Stuck::TooLarge)?;
    if value > MAX_FACTORIAL { Err(Stuck::TooLarge) } else { Ok(value) }
}

/// `n (n-1) .. (n-k+1)`.
fn falling(n: u64, k: u64) -> Result<RBig, Stuck> {
    let product: UBig = (n - k + 1..=n).map(UBig::from).product();
    Ok(RBig::from(IBig::from(product)))
}

fn opaque(name: &str, arguments: &[Fraction], fuel: &mut Fuel) -> Result<Fraction, Stuck> {
    let mut key = name.to_owned();
    for argument in arguments {
        key.push('(');
        argument.numerator.write_key(&mut key, fuel)?;
        key.push('/');
        argument.denominator.write_key(&mut key, fuel)?;
        key.push(')');
    }
    Ok(Polynomial::atom(Atom::Opaque(key)).into())
}
