use dashu::base::DivRem;
use dashu::integer::UBig;

use super::limits::{Fuel, Stuck};

/// Largest trial divisor; what is left below its square is prime.
const LAST_DIVISOR: u32 = 10_000;

/// Trial divisions that cost one unit of fuel.
const DIVISIONS_PER_FUEL: usize = 4;

/// The prime factors of a positive integer with their multiplicities.
pub(super) fn prime_factors(number: &UBig, fuel: &mut Fuel) -> Result<Vec<(UBig, u32)>, Stuck> {
    let mut rest = number.clone();
    let mut factors = Vec::new();
    let odd = (1..).map(|k| 2 * k + 1);
    for (count, divisor) in
        std::iter::once(2).chain(odd).take_while(|d| *d < LAST_DIVISOR).enumerate()
    {
        if rest < UBig::from(divisor) * UBig::from(divisor) {
            break;
        }
        if count % DIVISIONS_PER_FUEL == 0 {
            fuel.spend(1)?;
        }
        let divisor = UBig::from(divisor);
        let mut power = 0;
        loop {
            let (quotient, remainder) = (&rest).div_rem(&divisor);
            if !remainder.is_zero() {
                break;
            }
            rest = quotient;
            power += 1;
        }
        if power > 0 {
            factors.push((divisor, power));
        }
    }
    if rest > UBig::ONE {
        if rest >= UBig::from(LAST_DIVISOR) * UBig::from(LAST_DIVISOR) {
            return Err(Stuck::TooLarge);
        }
        factors.push((rest, 1));
    }
    Ok(factors)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn factors_multiply_back() {
        for number in [1u64, 2, 97, 360, 1_000_000, 9973 * 9967, 9973 * 9973 * 4, 2u64.pow(60)] {
            let factors = prime_factors(&number.into(), &mut Fuel::new(10_000)).unwrap();
            let product: UBig =
                factors.iter().map(|(prime, power)| prime.pow(*power as usize)).product();
            assert_eq!(product, number.into());
            assert!(factors.is_sorted());
        }
        let two_large_primes = UBig::from(1_000_003u64) * UBig::from(1_000_033u64);
        assert_eq!(prime_factors(&two_large_primes, &mut Fuel::new(10_000)), Err(Stuck::TooLarge));
        assert_eq!(prime_factors(&two_large_primes, &mut Fuel::new(10)), Err(Stuck::OutOfFuel));
    }
}
