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
    let mut interval = score_interval(successes as f64 / trials as f64, trials as f64);
    // At the ends the formula gives exactly 0 and 1 but for rounding.
    if successes == 0 {
        interval.low = 0.0;
    }
    if successes == trials {
        interval.high = 1.0;
    }
    Ok(interval)
}

/// The formula for a proportion `estimate` of `n` trials, which need not be a whole number.
pub(super) fn score_interval(estimate: f64, n: f64) -> Interval {
    let z2 = NORMAL_QUANTILE * NORMAL_QUANTILE;
    let centre = (estimate + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let spread = (estimate * (1.0 - estimate) / n + z2 / (4.0 * n * n)).sqrt();
    let half = NORMAL_QUANTILE * spread / (1.0 + z2 / n);
    Interval { estimate, low: (centre - half).max(0.0), high: (centre + half).min(1.0) }
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
