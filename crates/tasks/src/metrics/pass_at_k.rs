use crate::TaskError;

/// The probability that at least one of `k` samples is right, estimated from `samples` of which
/// `correct` are: `1 - C(n - c, k) / C(n, k)`, the mean over all choices of `k` of the samples and
/// therefore unbiased (Chen et al. 2021, arXiv:2107.03374, equation 1). Computed as a product, which
/// neither overflows nor cancels.
///
/// # Errors
/// [`TaskError::Statistic`] unless `correct <= samples` and `1 <= k <= samples`.
pub fn pass_at_k(samples: usize, correct: usize, k: usize) -> Result<f64, TaskError> {
    if correct > samples || k == 0 || k > samples {
        return Err(TaskError::Statistic {
            statistic: "pass@k",
            expected: "1 <= k <= samples and at most as many correct ones",
            actual: format!("k = {k}, {correct} correct of {samples}"),
        });
    }
    let wrong = samples - correct;
    if wrong < k {
        return Ok(1.0);
    }
    // C(n - c, k) / C(n, k) = prod (n - c - i) / (n - i) over i < k.
    let none: f64 = (0..k).map(|i| (wrong - i) as f64 / (samples - i) as f64).product();
    Ok(1.0 - none)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn the_estimate_is_the_mean_over_all_choices_of_k() {
        for samples in 1..=8usize {
            for correct in 0..=samples {
                for k in 1..=samples {
                    // The first `correct` samples are the right ones; a bit set is a choice.
                    let right = (1u32 << correct) - 1;
                    let choices: Vec<u32> =
                        (0..1u32 << samples).filter(|set| set.count_ones() as usize == k).collect();
                    let passed = choices.iter().filter(|set| *set & right != 0).count();
                    let expected = passed as f64 / choices.len() as f64;
                    let found = pass_at_k(samples, correct, k).unwrap();
                    assert!((found - expected).abs() < 1e-12, "{samples} {correct} {k}");
                }
            }
        }
    }

    #[test]
    fn large_counts_neither_overflow_nor_cancel() {
        // C(9999, 100) / C(10000, 100) = 9900 / 10000.
        assert!((pass_at_k(10_000, 1, 100).unwrap() - 0.01).abs() < 1e-12);
        assert_eq!(pass_at_k(10_000, 10_000, 1).unwrap(), 1.0);
    }

    #[test]
    fn impossible_counts_are_errors() {
        for (samples, correct, k) in [(0, 0, 1), (3, 4, 1), (3, 1, 4), (3, 1, 0)] {
            assert!(pass_at_k(samples, correct, k).is_err());
        }
    }
}
