use std::collections::BTreeMap;
use std::fmt::Write as _;

use dashu::base::BitTest;
use dashu::integer::{IBig, UBig};
use dashu::rational::RBig;

use super::limits::{Fuel, MAX_BITS, Stuck};

/// What a monomial is made of.
///
/// Fractional powers of distinct primes are linearly independent over the rationals (Besicovitch
/// 1940), so a polynomial in them is zero only if all coefficients are. Pi and e are taken to be
/// algebraically independent, which everyone believes and nobody has proved.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Atom {
    Prime(UBig),
    Imaginary,
    Pi,
    Euler,
    Variable(String),
    /// Something not understood algebraically, under the name of its canonical form.
    Opaque(String),
}

/// Atoms and their exponents, none of them zero.
pub(super) type Monomial = BTreeMap<Atom, RBig>;

/// Monomials and their coefficients, none of them zero. Exponents of primes lie in 0..1, that of `i`
/// is 1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Polynomial(BTreeMap<Monomial, RBig>);

impl Polynomial {
    pub(super) fn constant(value: RBig) -> Self {
        Self::term(value, Monomial::new())
    }

    pub(super) fn atom(atom: Atom) -> Self {
        Self::term(RBig::ONE, Monomial::from([(atom, RBig::ONE)]))
    }

    fn term(coefficient: RBig, monomial: Monomial) -> Self {
        let mut terms = BTreeMap::new();
        if !coefficient.is_zero() {
            terms.insert(monomial, coefficient);
        }
        Self(terms)
    }

    /// `coefficient * monomial`, with whole powers of primes and of `i` worked out.
    pub(super) fn reduced(mut coefficient: RBig, monomial: Monomial) -> Result<Self, Stuck> {
        let mut kept = Monomial::new();
        for (atom, exponent) in monomial {
            let fraction = match &atom {
                Atom::Prime(prime) => {
                    let whole = exponent.floor();
                    let base = RBig::from(IBig::from(prime.clone()));
                    coefficient = checked(coefficient * power(&base, &whole)?)?;
                    exponent - RBig::from(whole)
                }
                Atom::Imaginary if !exponent.is_int() => return Err(Stuck::Unsupported),
                Atom::Imaginary => {
                    // i^n for n mod 4 = 0, 1, 2, 3 is 1, i, -1, -i.
                    let half_turns = (&exponent / RBig::from(2)).floor();
                    if &half_turns % IBig::from(2) != IBig::ZERO {
                        coefficient = -coefficient;
                    }
                    exponent - RBig::from(half_turns * 2)
                }
                _ => exponent,
            };
            if !fraction.is_zero() {
                kept.insert(atom, fraction);
            }
        }
        Ok(Self::term(coefficient, kept))
    }

    pub(super) fn is_zero(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The value, if there are no atoms.
    pub(super) fn as_constant(&self) -> Option<RBig> {
        match self.single_term() {
            _ if self.is_zero() => Some(RBig::ZERO),
            Some((monomial, coefficient)) if monomial.is_empty() => Some(coefficient.clone()),
            _ => None,
        }
    }

    /// The only term, if there is exactly one.
    pub(super) fn single_term(&self) -> Option<(&Monomial, &RBig)> {
        if self.len() == 1 { self.0.iter().next() } else { None }
    }

    /// The coefficient of the last monomial.
    pub(super) fn leading(&self) -> Option<&RBig> {
        self.0.values().next_back()
    }

    pub(super) fn is_opaque(&self) -> bool {
        self.0.keys().flat_map(BTreeMap::keys).any(|atom| matches!(atom, Atom::Opaque(_)))
    }

    pub(super) fn add(mut self, other: &Self, fuel: &mut Fuel) -> Result<Self, Stuck> {
        fuel.spend(other.len())?;
        for (monomial, coefficient) in &other.0 {
            let sum = self.0.remove(monomial).unwrap_or(RBig::ZERO) + coefficient;
            if !sum.is_zero() {
                self.0.insert(monomial.clone(), checked(sum)?);
            }
        }
        Ok(self)
    }

    pub(super) fn scale(mut self, factor: &RBig) -> Result<Self, Stuck> {
        if factor.is_zero() {
            return Ok(Self::default());
        }
        for coefficient in self.0.values_mut() {
            *coefficient = checked(&*coefficient * factor)?;
        }
        Ok(self)
    }

    pub(super) fn multiply(&self, other: &Self, fuel: &mut Fuel) -> Result<Self, Stuck> {
        let mut product = Self::default();
        for (a, x) in &self.0 {
            for (b, y) in &other.0 {
                fuel.spend(1 + a.len() + b.len())?;
                let mut monomial = a.clone();
                for (atom, exponent) in b {
                    let sum = monomial.remove(atom).unwrap_or(RBig::ZERO) + exponent;
                    if !sum.is_zero() {
                        monomial.insert(atom.clone(), sum);
                    }
                }
                product = product.add(&Self::reduced(checked(x * y)?, monomial)?, fuel)?;
            }
        }
        Ok(product)
    }

    /// A name under which equal polynomials are equal texts.
    pub(super) fn write_key(&self, key: &mut String, fuel: &mut Fuel) -> Result<(), Stuck> {
        let start = key.len();
        for (monomial, coefficient) in &self.0 {
            // Writing to a string cannot fail.
            let _ = write!(key, "+{coefficient}");
            for (atom, exponent) in monomial {
                let _ = match atom {
                    Atom::Prime(prime) => write!(key, "*{prime}^{exponent}"),
                    Atom::Imaginary => write!(key, "*i^{exponent}"),
                    Atom::Pi => write!(key, "*pi^{exponent}"),
                    Atom::Euler => write!(key, "*e^{exponent}"),
                    Atom::Variable(name) => write!(key, "*{name}^{exponent}"),
                    Atom::Opaque(name) => write!(key, "*[{name}]^{exponent}"),
                };
            }
            fuel.spend(1 + key.len() - start)?;
        }
        Ok(())
    }
}

/// `base ^ exponent` within the limits on size.
pub(super) fn power(base: &RBig, exponent: &IBig) -> Result<RBig, Stuck> {
    let exponent = isize::try_from(exponent).map_err(|_| Stuck::TooLarge)?;
    let bits = base.numerator().bit_len().max(base.denominator().bit_len());
    // One and minus one stay small, whatever the exponent.
    if bits > 1 && bits.saturating_mul(exponent.unsigned_abs()) > MAX_BITS {
        return Err(Stuck::TooLarge);
    }
    if base.is_zero() && exponent <= 0 {
        return Err(Stuck::Undefined);
    }
    if bits <= 1 && !base.is_zero() {
        let negative = base < &RBig::ZERO && exponent % 2 != 0;
        return Ok(if negative { -RBig::ONE } else { RBig::ONE });
    }
    Ok(base.pow(exponent))
}

fn checked(value: RBig) -> Result<RBig, Stuck> {
    let bits = value.numerator().bit_len().max(value.denominator().bit_len());
    if bits > MAX_BITS { Err(Stuck::TooLarge) } else { Ok(value) }
}
