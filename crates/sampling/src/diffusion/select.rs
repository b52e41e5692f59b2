use std::cmp::Reverse;

/// Indices of the `count` highest confidences, ascending; equal ones go to the lowest index.
pub fn most_confident(confidences: &[f64], count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..confidences.len()).collect();
    let count = count.min(order.len());
    if count < order.len() {
        let best_first =
            |&a: &usize, &b: &usize| (confidences[b].total_cmp(&confidences[a])).then(a.cmp(&b));
        order.select_nth_unstable_by(count, best_first);
        order.truncate(count);
        order.sort_unstable();
    }
    order
}

/// Indices of the confidences that are at least `threshold`, ascending; if there are none, that of
/// the highest (the lowest index among equal ones), so that each step makes progress.
pub fn above_threshold(confidences: &[f64], threshold: f64) -> Vec<usize> {
    let kept: Vec<usize> =
        (0..confidences.len()).filter(|&i| confidences[i] >= threshold).collect();
    if !kept.is_empty() {
        return kept;
    }
    let best = (0..confidences.len()).max_by(|&a, &b| {
        confidences[a].total_cmp(&confidences[b]).then(Reverse(a).cmp(&Reverse(b)))
    });
    best.into_iter().collect()
}

/// Indices of the `n` highest confidences, ascending, for the largest `n` with
/// `(n + 1) (1 - c_n) < factor`, where `c_n` is the `n`-th highest; of one if there is no such
/// `n`. Equal ones go to the lowest index.
pub fn by_factor(confidences: &[f64], factor: f64) -> Vec<usize> {
    let mut sorted = confidences.to_vec();
    sorted.sort_unstable_by(|a, b| b.total_cmp(a));
    let holds = |n: usize| (n + 1) as f64 * (1.0 - sorted[n - 1]) < factor;
    let count = (1..=sorted.len()).rev().find(|n| holds(*n));
    most_confident(confidences, count.unwrap_or(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_go_to_the_lowest_position() {
        let confidences = [0.5, 0.9, 0.5, 0.9, 0.1];
        assert!(most_confident(&confidences, 0).is_empty());
        assert_eq!(most_confident(&confidences, 1), [1]);
        assert_eq!(most_confident(&confidences, 3), [0, 1, 3]);
        assert_eq!(most_confident(&confidences, 4), [0, 1, 2, 3]);
        assert_eq!(most_confident(&confidences, 9), [0, 1, 2, 3, 4]);
        assert_eq!(above_threshold(&confidences, 2.0), [1]);
    }

    #[test]
    fn thresholds_are_inclusive() {
        let confidences = [0.25, 0.5, 1.0];
        assert_eq!(above_threshold(&confidences, 0.5), [1, 2]);
        assert_eq!(above_threshold(&confidences, 0.0), [0, 1, 2]);
        assert!(above_threshold(&[], 0.5).is_empty());
    }

    #[test]
    fn factors_bound_the_doubt_of_what_is_committed_together() {
        // (n + 1)(1 - c_n) is 0.0625 * 2 = 0.125, 0.375, 1, 2.5.
        let confidences = [0.875, 0.5, 0.9375, 0.75];
        assert_eq!(by_factor(&confidences, 0.0), [2]);
        assert_eq!(by_factor(&confidences, 0.375), [2]);
        assert_eq!(by_factor(&confidences, 0.376), [0, 2]);
        assert_eq!(by_factor(&confidences, 1.0), [0, 2]);
        assert_eq!(by_factor(&confidences, 1.5), [0, 2, 3]);
        assert_eq!(by_factor(&confidences, 9.0), [0, 1, 2, 3]);
        // Certainty has no doubt, but a factor of 0 asks for less than none.
        assert_eq!(by_factor(&[1.0; 4], 1e-9), [0, 1, 2, 3]);
        assert_eq!(by_factor(&[1.0; 4], 0.0), [0]);
        assert!(by_factor(&[], 1.0).is_empty());
    }
}
