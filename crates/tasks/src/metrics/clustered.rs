use std::collections::BTreeMap;

use super::Interval;
use super::proportion::{score_interval, wilson};
use crate::TaskError;

/// A mean and its standard error.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClusteredMean {
    /// The mean of all values.
    pub mean: f64,
    /// Its standard error; `None` with a single cluster, which says nothing about others.
    pub standard_error: Option<f64>,
    /// Independent clusters.
    pub clusters: usize,
}

/// The mean of values that come in clusters (equal `clusters` entries), such as the samples of one
/// problem: values of one cluster may depend on each other, clusters are independent.
///
/// The squared standard error is `G / (G - 1) * sum_g (sum_i (x_gi - mean))^2 / n^2` over `G` clusters
/// of `n` values in all (Liang and Zeger 1986, the cluster-robust variance for a mean). With one value
/// a cluster it is the variance of the sample over `n`.
///
/// # Errors
/// [`TaskError::Statistic`] for lists of different length, without values or with ones that are not
/// finite.
pub fn clustered_mean<K: Ord>(values: &[f64], clusters: &[K]) -> Result<ClusteredMean, TaskError> {
    if values.len() != clusters.len() || values.is_empty() || !values.iter().all(|x| x.is_finite())
    {
        return Err(TaskError::Statistic {
            statistic: "clustered mean",
            expected: "finite values, each with its cluster",
            actual: format!("{} values and {} clusters", values.len(), clusters.len()),
        });
    }
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let mut deviations: BTreeMap<&K, f64> = BTreeMap::new();
    for (value, cluster) in values.iter().zip(clusters) {
        *deviations.entry(cluster).or_default() += value - mean;
    }
    let count = deviations.len();
    let standard_error = (count > 1).then(|| {
        let squares: f64 = deviations.values().map(|sum| sum * sum).sum();
        (squares * count as f64 / (count - 1) as f64).sqrt() / n
    });
    Ok(ClusteredMean { mean, standard_error, clusters: count })
}

/// [`clustered_mean`] of successes, with a 95 % interval that stays within 0..=1: Wilson's, where
/// every success is a cluster of its own; else Wilson's formula with the effective number of trials
/// `p (1 - p) / standard_error^2` in place of the number of trials (Korn and Graubard 1998), at most
/// the number of trials. Where all or none succeed the clusters are the trials.
///
/// # Errors
/// Those of [`clustered_mean`].
pub fn clustered_proportion<K: Ord>(
    successes: &[bool],
    clusters: &[K],
) -> Result<(ClusteredMean, Interval), TaskError> {
    let values: Vec<f64> = successes.iter().map(|right| f64::from(u8::from(*right))).collect();
    let found = clustered_mean(&values, clusters)?;
    let (trials, count) = (successes.len(), successes.iter().filter(|right| **right).count());
    let interval = if found.clusters == trials {
        wilson(count, trials)?
    } else if count == 0 || count == trials {
        wilson(if count == 0 { 0 } else { found.clusters }, found.clusters)?
    } else {
        let p = found.mean;
        let effective = match found.standard_error {
            Some(error) if error > 0.0 => p * (1.0 - p) / (error * error),
            Some(_) => trials as f64,
            None => 1.0,
        };
        score_interval(p, effective.clamp(1.0, trials as f64))
    };
    Ok((found, interval))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn clusters_of_one_give_the_textbook_error() {
        let values = [1.0, 2.0, 3.0, 4.0, 5.0];
        let found = clustered_mean(&values, &[0, 1, 2, 3, 4]).unwrap();
        assert_eq!((found.mean, found.clusters), (3.0, 5));
        assert!((found.standard_error.unwrap() - (2.5f64 / 5.0).sqrt()).abs() < 1e-12);
        let right = [true, false, true, true];
        let (found, interval) = clustered_proportion(&right, &[0, 1, 2, 3]).unwrap();
        let expected = (0.75f64 * 0.25 / 3.0).sqrt();
        assert!((found.standard_error.unwrap() - expected).abs() < 1e-12);
        assert_eq!(interval, wilson(3, 4).unwrap());
    }

    #[test]
    fn copies_are_worth_one_value() {
        // Six values, each four times: mean and error are those of the six.
        let six = [0.0, 1.0, 1.0, 0.0, 1.0, 1.0];
        let copies: Vec<f64> = six.iter().cycle().take(24).copied().collect();
        let clusters: Vec<usize> = (0..24).map(|i| i % 6).collect();
        let all = clustered_mean(&copies, &clusters).unwrap();
        let few = clustered_mean(&six, &[0, 1, 2, 3, 4, 5]).unwrap();
        assert!((all.standard_error.unwrap() - few.standard_error.unwrap()).abs() < 1e-12);
        // The interval is about as wide as that of six trials, not of twenty-four.
        let right: Vec<bool> = copies.iter().map(|x| *x > 0.0).collect();
        let (_, interval) = clustered_proportion(&right, &clusters).unwrap();
        let (narrow, wide) = (wilson(16, 24).unwrap(), wilson(4, 6).unwrap());
        assert!(interval.high - interval.low > 1.8 * (narrow.high - narrow.low));
        assert!(interval.high - interval.low >= wide.high - wide.low);
    }

    #[test]
    fn the_error_is_that_of_repeated_experiments() {
        // Problems of difficulty 0.2 or 0.8, four samples each, by enumeration of all outcomes of
        // two problems: the expected squared error of the estimate, and the variance of the mean.
        let chance = |p: f64, count: u32| {
            f64::from([1, 4, 6, 4, 1][count as usize])
                * p.powi(count as i32)
                * (1.0 - p).powi(4 - count as i32)
        };
        let count_chance = |count: u32| 0.5 * (chance(0.2, count) + chance(0.8, count));
        let (mut squared, mut mean, mut mean_square) = (0.0, 0.0, 0.0);
        for a in 0..=4u32 {
            for b in 0..=4u32 {
                let weight = count_chance(a) * count_chance(b);
                let values: Vec<f64> = [a, b]
                    .iter()
                    .flat_map(|right| (0..4).map(move |i| f64::from(u8::from(i < *right))))
                    .collect();
                let clusters = [0, 0, 0, 0, 1, 1, 1, 1];
                let found = clustered_mean(&values, &clusters).unwrap();
                squared += weight * found.standard_error.unwrap().powi(2);
                mean += weight * found.mean;
                mean_square += weight * found.mean * found.mean;
            }
        }
        // For clusters of equal size the estimate of the variance is unbiased.
        assert!((squared - (mean_square - mean * mean)).abs() < 1e-12);
    }

    #[test]
    fn the_ends_and_impossible_lists() {
        let (found, interval) = clustered_proportion(&[false; 6], &[0, 0, 0, 1, 1, 1]).unwrap();
        assert_eq!((found.mean, found.standard_error), (0.0, Some(0.0)));
        assert_eq!(interval, wilson(0, 2).unwrap());
        let (found, interval) = clustered_proportion(&[true, false], &[0, 0]).unwrap();
        assert_eq!(found.standard_error, None);
        assert!(interval.low < 0.1 && interval.high > 0.9);
        assert!(clustered_mean::<u8>(&[], &[]).is_err());
        assert!(clustered_mean(&[1.0], &[0, 1]).is_err());
        assert!(clustered_mean(&[f64::NAN], &[0]).is_err());
    }
}
