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
}
