/// How many of `masked` positions each of `steps` denoising steps commits.
///
/// Every step gets `masked / steps`, the first `masked % steps` steps one more; the sum is
/// `masked`. No step: an empty schedule.
pub fn transfer_schedule(masked: usize, steps: usize) -> Vec<usize> {
    (0..steps).map(|step| masked / steps + usize::from(step < masked % steps)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reference_schedules() {
        assert_eq!(transfer_schedule(32, 16), [2; 16]);
        assert_eq!(transfer_schedule(10, 4), [3, 3, 2, 2]);
        assert_eq!(transfer_schedule(2, 3), [1, 1, 0]);
        assert_eq!(transfer_schedule(7, 1), [7]);
        assert!(transfer_schedule(7, 0).is_empty());
    }

    #[test]
    fn everything_is_committed_once() {
        for masked in 0..40 {
            for steps in 1..40 {
                let schedule = transfer_schedule(masked, steps);
                assert_eq!(schedule.len(), steps);
                assert_eq!(schedule.iter().sum::<usize>(), masked);
                assert!(schedule.is_sorted_by(|a, b| a >= b));
            }
        }
    }
}
