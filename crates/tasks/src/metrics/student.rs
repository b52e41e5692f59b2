use std::f64::consts::PI;

use super::Interval;
use super::interval::NORMAL_QUANTILE;
use crate::TaskError;

/// The 95 % interval for the mean of independent, roughly normal values, by Student's t.
///
/// # Errors
/// [`TaskError::Statistic`] for fewer than two values or values that are not finite.
pub fn mean_interval(values: &[f64]) -> Result<Interval, TaskError> {
    if values.len() < 2 || !values.iter().all(|value| value.is_finite()) {
        return Err(TaskError::Statistic {
            statistic: "mean interval",
            expected: "at least two finite values",
            actual: format!("{} values", values.len()),
        });
    }
    let n = values.len() as f64;
    let estimate = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|value| (value - estimate).powi(2)).sum();
    let error = (squares / (n - 1.0) / n).sqrt();
    let half = student_quantile(values.len() - 1) * error;
    Ok(Interval { estimate, low: estimate - half, high: estimate + half })
}

/// The 97.5 % quantile of Student's t distribution with `freedom` degrees of freedom; infinite for
/// zero, the normal quantile (within 3e-5) above 100 000.
pub fn student_quantile(freedom: usize) -> f64 {
    match freedom {
        0 => return f64::INFINITY,
        100_001.. => return NORMAL_QUANTILE,
        _ => {}
    }
    // With one degree of freedom the quantile is 12.7, and it falls from there.
    let (mut low, mut high) = (1.9, 13.0);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if central_probability(middle, freedom) < 0.95 {
            low = middle;
        } else {
            high = middle;
        }
    }
    0.5 * (low + high)
}

/// The probability of -t..t: the finite sums of Abramowitz and Stegun 26.7.3 and 26.7.4.
fn central_probability(t: f64, freedom: usize) -> f64 {
    let angle = (t / (freedom as f64).sqrt()).atan();
    let (sine, cosine) = angle.sin_cos();
    let odd = freedom % 2 == 1;
    // Terms are 1, 1/2 c^2, (1 3)/(2 4) c^4 .. for even and c, 2/3 c^3, (2 4)/(3 5) c^5 .. for odd.
    let mut term = if odd { cosine } else { 1.0 };
    let mut sum = 0.0;
    for k in (if odd { 1 } else { 0 }..freedom.saturating_sub(1)).step_by(2) {
        sum += term;
        let k = k as f64;
        term *= (k + 1.0) / (k + 2.0) * cosine * cosine;
    }
    if odd { 2.0 / PI * (angle + sine * sum) } else { sine * sum }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_agree_with_printed_tables() {
        for (freedom, quantile) in [
            (1, 12.7062),
            (2, 4.3027),
            (3, 3.1824),
            (4, 2.7764),
            (9, 2.2622),
            (30, 2.0423),
            (120, 1.9799),
        ] {
            let found = student_quantile(freedom);
            assert!((found - quantile).abs() < 5e-5, "{freedom}: {found}");
        }
        assert!((student_quantile(100_000) - NORMAL_QUANTILE).abs() < 3e-5);
    }

    #[test]
    fn a_worked_example() {
        // Mean 3, standard deviation sqrt(2.5), t = 2.7764: 3 +- 1.9632.
        let interval = mean_interval(&[1.0, 2.0, 3.0, 4.0, 5.0]).unwrap();
        assert!((interval.estimate - 3.0).abs() < 1e-12);
        assert!((interval.high - 4.9632).abs() < 1e-4 && (interval.low - 1.0368).abs() < 1e-4);
        assert!(interval.contains(3.0) && !interval.contains(5.0));
    }

    #[test]
    fn too_few_values_are_an_error() {
        assert!(mean_interval(&[1.0]).is_err() && mean_interval(&[1.0, f64::NAN]).is_err());
    }
}
