/// Advantages of the completions of several prompts.
#[derive(Clone, Debug, PartialEq)]
pub struct Advantages {
    /// One a completion, in the order of the rewards; zero in groups without spread.
    pub values: Vec<f64>,
    /// Groups whose completions all got the same reward: they carry no signal.
    pub groups_without_spread: usize,
    /// All groups.
    pub groups: usize,
}

/// `A_i = r_i - mean(r)` within each group of `group_size` consecutive completions, without
/// division by the standard deviation (d1 section 3.2; Liu et al. 2025, "Dr. GRPO").
///
/// # Panics
/// If the rewards do not fill whole groups.
pub fn centred(rewards: &[f64], group_size: usize) -> Advantages {
    assert!(
        group_size > 0 && rewards.len().is_multiple_of(group_size),
        "{} rewards do not fill groups of {group_size}",
        rewards.len()
    );
    let mut values = Vec::with_capacity(rewards.len());
    let mut groups_without_spread = 0;
    for group in rewards.chunks_exact(group_size) {
        if group.iter().all(|reward| *reward == group[0]) {
            groups_without_spread += 1;
            values.extend(std::iter::repeat_n(0.0, group_size));
            continue;
        }
        let mean = group.iter().sum::<f64>() / group_size as f64;
        values.extend(group.iter().map(|reward| reward - mean));
    }
    Advantages { values, groups_without_spread, groups: rewards.len() / group_size }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn centred_within_groups() {
        let advantages = centred(&[1.0, 0.0, 0.1, 0.1], 2);
        assert_eq!(advantages.values, [0.5, -0.5, 0.0, 0.0]);
        assert_eq!((advantages.groups_without_spread, advantages.groups), (1, 2));
    }

    #[test]
    fn equal_rewards_give_exact_zeros_despite_rounding() {
        let advantages = centred(&[0.1; 6], 6);
        assert!(advantages.values.iter().all(|value| *value == 0.0));
    }
}
