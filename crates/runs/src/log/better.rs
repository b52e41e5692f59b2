/// Which way a metric gets better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// Reward, accuracy.
    Higher,
    /// Loss, perplexity.
    Lower,
}

/// Which way a metric gets better, by its name; none where more is neither good nor bad.
///
/// `earns` says that the run learns from rewards: its `loss` then says little.
pub(super) fn better(name: &str, earns: bool) -> Option<Better> {
    let (name, evaluated) = match name.strip_prefix("eval_") {
        Some(name) => (name, true),
        None => (name, false),
    };
    // `base/loss` in a log of stages, `completions/clipped_ratio`.
    let measure = name.rsplit('/').next().unwrap_or(name);
    let reward_part = name.starts_with("rewards/") && measure == "mean";
    match measure {
        "loss" if earns && !evaluated => None,
        "loss" | "perplexity" | "frac_reward_zero_std" | "clipped_ratio" => Some(Better::Lower),
        "reward" | "accuracy" | "exact" | "tokens_per_second" => Some(Better::Higher),
        _ if reward_part => Some(Better::Higher),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_which_way_is_better() {
        let higher = [
            "reward",
            "eval_reward",
            "rewards/format/mean",
            "eval_rewards/format/mean",
            "eval_accuracy",
            "d1/reward",
        ];
        let lower = ["eval_loss", "base/loss", "completions/clipped_ratio", "frac_reward_zero_std"];
        let neither = ["kl", "grad_norm", "completions/mean_length", "num_tokens", "reward_std"];
        assert!(higher.iter().all(|name| better(name, false) == Some(Better::Higher)));
        assert!(lower.iter().all(|name| better(name, false) == Some(Better::Lower)));
        assert!(neither.iter().all(|name| better(name, false).is_none()));
        // A policy loss is not to be brought down; the loss of an evaluation is.
        assert_eq!(better("loss", true), None);
        assert_eq!(better("loss", false), Some(Better::Lower));
        assert_eq!(better("eval_loss", true), Some(Better::Lower));
    }
}
