use super::Interval;
use super::interval::NORMAL_QUANTILE;
use crate::TaskError;

/// Wilson's 95 % score interval for a proportion (Wilson 1927). Unlike the textbook normal interval
/// it stays within 0..=1 and keeps its coverage near both ends.
///
/// # Errors
/// [`TaskError::Statistic`] without trials or with more successes than trials.
pub fn wilson(successes: usize, trials: usize) -> Result<Interval, TaskError> {
    if trials == 0 || successes > trials {
        return Err(TaskError::Statistic {
            statistic: "Wilson interval",
            expected: "trials, and at most as many successes",
            actual: format!("{successes} successes in {trials} trials"),
        });
    }
    let n = trials as f64;
    let estimate = successes as f64 / n;
    let z2 = NORMAL_QUANTILE * NORMAL_QUANTILE;
    let centre = (estimate + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let spread = (estimate * (1.0 - estimate) / n + z2 / (4.0 * n * n)).sqrt();
    let half = NORMAL_QUANTILE * spread / (1.0 + z2 / n);
    // At the ends the formula gives exactly 0 and 1 but for rounding.
    let low = if successes == 0 { 0.0 } else { centre - half };
    let high = if successes == trials { 1.0 } else { centre + half };
    Ok(Interval { estimate, low, high })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn known_intervals() {
        // Newcombe (1998), Statistics in Medicine 17, table I, method 3 (score interval).
        for (successes, trials, low, high) in [
            (81, 263, 0.2553, 0.3662),
            (15, 148, 0.0624, 0.1605),
            (0, 20, 0.0, 0.1611),
            (1, 29, 0.0061, 0.1718),
        ] {
            let interval = wilson(successes, trials).unwrap();
            assert!((interval.low - low).abs() < 5e-5, "{interval:?}");
            assert!((interval.high - high).abs() < 5e-5, "{interval:?}");
        }
        assert_eq!(wilson(5, 5).unwrap().high, 1.0);
    }

    #[test]
    fn impossible_counts_are_errors() {
        assert!(wilson(0, 0).is_err() && wilson(3, 2).is_err());
    }
}
