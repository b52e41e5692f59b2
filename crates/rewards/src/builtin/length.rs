use super::text_reward::TextRule;
use crate::Outcome;
use crate::config::{Checks, LengthUnit, RewardConfig};

/// `value` for a length in `min..=max`. Outside it falls linearly to `otherwise`, which it reaches
/// `margin` units from the range, and stays there.
#[derive(Debug)]
pub(crate) struct LengthRule {
    unit: LengthUnit,
    min: u64,
    max: u64,
    margin: u64,
    value: f64,
    otherwise: f64,
}

impl LengthRule {
    pub(crate) fn read(config: &RewardConfig, checks: &mut Checks) -> Option<Self> {
        if config.min.is_none() && config.max.is_none() {
            checks.add("max", "is missing: kind = \"length\" needs `min`, `max` or both");
        }
        let (min, max) = (config.min.unwrap_or(0), config.max.unwrap_or(u64::MAX));
        if min > max {
            checks.add("min", format!("is {min}: expected at most `max`, which is {max}"));
        }
        let margin = config.margin.unwrap_or(1);
        if margin == 0 {
            checks.add("margin", "is 0: expected at least 1");
        }
        Some(Self {
            unit: config.unit.unwrap_or_default(),
            min,
            max,
            margin,
            value: checks.finite("value", config.value, 1.0),
            otherwise: checks.finite("otherwise", config.otherwise, 0.0),
        })
    }
}

impl TextRule for LengthRule {
    fn score(&self, text: &str) -> Outcome {
        let length = match self.unit {
            LengthUnit::Characters => text.chars().count(),
            LengthUnit::Words => text.split_whitespace().count(),
        } as u64;
        let outside = self.min.saturating_sub(length).max(length.saturating_sub(self.max));
        let fallen = (outside as f64 / self.margin as f64).min(1.0);
        Outcome::Value((1.0 - fallen) * self.value + fallen * self.otherwise)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::RewardKind;

    fn rule(config: RewardConfig) -> LengthRule {
        let mut checks = Checks::default();
        let rule = LengthRule::read(&config, &mut checks).unwrap();
        assert!(checks.problems.is_empty(), "{:?}", checks.problems);
        rule
    }

    #[test]
    fn linear_outside_the_range_and_never_below_the_rest() {
        let rule = rule(RewardConfig {
            min: Some(2),
            max: Some(4),
            margin: Some(4),
            otherwise: Some(-1.0),
            unit: Some(LengthUnit::Words),
            ..RewardConfig::new(RewardKind::Length)
        });
        for (words, expected) in
            [(0, 0.0), (1, 0.5), (2, 1.0), (4, 1.0), (5, 0.5), (7, -0.5), (8, -1.0), (900, -1.0)]
        {
            assert_eq!(rule.score(&"ab ".repeat(words)), Outcome::Value(expected), "{words}");
        }
    }

    #[test]
    fn characters_are_not_bytes_and_a_range_may_be_open() {
        let rule = rule(RewardConfig { min: Some(3), ..RewardConfig::new(RewardKind::Length) });
        assert_eq!(rule.score("äöü"), Outcome::Value(1.0));
        assert_eq!(rule.score("äö"), Outcome::Value(0.0));
        assert_eq!(rule.score(&"a".repeat(10_000)), Outcome::Value(1.0));
    }
}
