use std::collections::BTreeMap;

use afterthought_random::Stream;
use serde::{Deserialize, Serialize};

use super::Interval;
use crate::TaskError;

/// A difference of means and how it varies under resampling.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// `mean(b) - mean(a)` with its 95 % percentile interval.
    pub interval: Interval,
    /// Share of resamples in which `b` is better than `a`, ties counted half.
    pub probability_better: f64,
}

/// How much better system `b` is than `a` when both were run on the *same* problems: resamples
/// problems, keeping each pair together.
///
/// # Errors
/// [`TaskError::Statistic`] for lists of different length, without values or without resamples.
pub fn paired_bootstrap(
    a: &[f64],
    b: &[f64],
    resamples: usize,
    stream: &mut Stream,
) -> Result<Difference, TaskError> {
    if a.len() != b.len() {
        return Err(error("two lists of the same length", format!("{} and {}", a.len(), b.len())));
    }
    let differences: Vec<f64> = a.iter().zip(b).map(|(a, b)| b - a).collect();
    difference(mean(&differences), resamples, a.is_empty(), || resampled_mean(&differences, stream))
}

/// How much better system `b` is than `a` when they were run on *different*, independent problems.
///
/// # Errors
/// [`TaskError::Statistic`] without values or without resamples.
pub fn bootstrap_difference(
    a: &[f64],
    b: &[f64],
    resamples: usize,
    stream: &mut Stream,
) -> Result<Difference, TaskError> {
    let empty = a.is_empty() || b.is_empty();
    difference(mean(b) - mean(a), resamples, empty, || {
        resampled_mean(b, stream) - resampled_mean(a, stream)
    })
}

/// The mean of `values` when those of one family (equal `families` entries) are not independent:
/// resamples whole families and takes the mean over the values drawn.
///
/// # Errors
/// [`TaskError::Statistic`] for lists of different length, without values or without resamples.
pub fn family_bootstrap<K: Ord>(
    values: &[f64],
    families: &[K],
    resamples: usize,
    stream: &mut Stream,
) -> Result<Difference, TaskError> {
    if values.len() != families.len() {
        let found = format!("{} and {}", values.len(), families.len());
        return Err(error("as many families as values", found));
    }
    let mut sums: BTreeMap<&K, (f64, f64)> = BTreeMap::new();
    for (value, family) in values.iter().zip(families) {
        let (sum, count) = sums.entry(family).or_default();
        *sum += value;
        *count += 1.0;
    }
    let sums: Vec<(f64, f64)> = sums.into_values().collect();
    difference(mean(values), resamples, values.is_empty(), || {
        let (mut total, mut count) = (0.0, 0.0);
        for _ in 0..sums.len() {
            let drawn = stream.choose(&sums);
            total += drawn.0;
            count += drawn.1;
        }
        total / count
    })
}

fn difference(
    estimate: f64,
    resamples: usize,
    empty: bool,
    mut draw: impl FnMut() -> f64,
) -> Result<Difference, TaskError> {
    if empty || resamples == 0 || !estimate.is_finite() {
        let actual = format!("{resamples} resamples of values with mean difference {estimate}");
        return Err(error("finite values and at least one resample", actual));
    }
    let mut drawn: Vec<f64> = (0..resamples).map(|_| draw()).collect();
    drawn.sort_by(f64::total_cmp);
    let better: f64 = drawn
        .iter()
        .map(|d| {
            if *d > 0.0 {
                1.0
            } else if *d == 0.0 {
                0.5
            } else {
                0.0
            }
        })
        .sum();
    let interval =
        Interval { estimate, low: quantile(&drawn, 0.025), high: quantile(&drawn, 0.975) };
    Ok(Difference { interval, probability_better: better / resamples as f64 })
}

/// Linear interpolation between the two nearest order statistics.
fn quantile(sorted: &[f64], p: f64) -> f64 {
    let position = p * (sorted.len() - 1) as f64;
    let (low, high) = (position.floor() as usize, position.ceil() as usize);
    sorted[low] + (sorted[high] - sorted[low]) * position.fract()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn resampled_mean(values: &[f64], stream: &mut Stream) -> f64 {
    (0..values.len()).map(|_| *stream.choose(values)).sum::<f64>() / values.len() as f64
}

fn error(expected: &'static str, actual: String) -> TaskError {
    TaskError::Statistic { statistic: "bootstrap difference", expected, actual }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    fn stream() -> Stream {
        Stream::new(1, "bootstrap", 0, 0)
    }

    #[test]
    fn families_of_copies_are_worth_one_value_each() {
        // Forty values that are ten values four times: the interval is that of the ten.
        let ten: Vec<f64> = (0..10).map(f64::from).collect();
        let forty: Vec<f64> = ten.iter().cycle().take(40).copied().collect();
        let families: Vec<usize> = (0..40).map(|i| i % 10).collect();
        let all =
            family_bootstrap(&forty, &families, 4000, &mut Stream::new(1, "t", 0, 0)).unwrap();
        let zeros = vec![0.0; 10];
        let few = paired_bootstrap(&zeros, &ten, 4000, &mut Stream::new(2, "t", 0, 0)).unwrap();
        assert_eq!(all.interval.estimate, few.interval.estimate);
        assert!((all.interval.low - few.interval.low).abs() < 0.15);
        assert!((all.interval.high - few.interval.high).abs() < 0.15);
        assert!(
            family_bootstrap(&forty, &families[1..], 10, &mut Stream::new(1, "t", 0, 0)).is_err()
        );
    }

    #[test]
    fn pairing_removes_the_variance_between_problems() {
        // b is a plus 0.1, whatever the problem's difficulty.
        let a: Vec<f64> = (0..100).map(f64::from).collect();
        let b: Vec<f64> = a.iter().map(|x| x + 0.1).collect();
        let paired = paired_bootstrap(&a, &b, 500, &mut stream()).unwrap();
        assert!(
            (paired.interval.low - 0.1).abs() < 1e-9 && (paired.interval.high - 0.1).abs() < 1e-9
        );
        assert_eq!(paired.probability_better, 1.0);
        let unpaired = bootstrap_difference(&a, &b, 500, &mut stream()).unwrap();
        assert!(unpaired.interval.low < -4.0 && unpaired.interval.high > 4.0);
    }

    #[test]
    fn the_interval_has_the_normal_width() {
        // 400 fair coin flips against 400 others: standard error sqrt(2 * 0.25 / 400).
        let a: Vec<f64> = (0..400).map(|i| f64::from(i % 2)).collect();
        let found = bootstrap_difference(&a, &a, 4000, &mut stream()).unwrap();
        let expected = 1.96 * (0.5f64 / 400.0).sqrt();
        assert!((found.interval.high - expected).abs() < 0.1 * expected, "{found:?}");
        assert!((found.interval.low + expected).abs() < 0.1 * expected, "{found:?}");
        assert!((found.probability_better - 0.5).abs() < 0.03);
    }

    #[test]
    fn undefined_differences_are_errors() {
        assert!(paired_bootstrap(&[1.0], &[], 10, &mut stream()).is_err());
        assert!(bootstrap_difference(&[], &[1.0], 10, &mut stream()).is_err());
        assert!(bootstrap_difference(&[1.0], &[1.0], 0, &mut stream()).is_err());
    }
}
