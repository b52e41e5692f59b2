use fancy_regex::{Regex, RegexBuilder};

use super::text_reward::TextRule;
use crate::Outcome;
use crate::config::{Checks, RewardConfig};

/// Steps of backtracking after which a match is given up.
const BACKTRACK_LIMIT: usize = 1_000_000;

/// `value` where an expression matches, `otherwise` elsewhere.
#[derive(Debug)]
pub(crate) struct RegexRule {
    regex: Regex,
    value: f64,
    otherwise: f64,
}

impl RegexRule {
    pub(crate) fn read(config: &RewardConfig, checks: &mut Checks) -> Option<Self> {
        let value = checks.finite("value", config.value, 1.0);
        let otherwise = checks.finite("otherwise", config.otherwise, 0.0);
        let Some(pattern) = &config.pattern else {
            checks.add("pattern", "is missing: kind = \"regex\" needs an expression");
            return None;
        };
        match RegexBuilder::new(pattern).backtrack_limit(BACKTRACK_LIMIT).build() {
            Ok(regex) => Some(Self { regex, value, otherwise }),
            Err(error) => {
                checks.add("pattern", format!("is not a regular expression: {error}"));
                None
            }
        }
    }
}

impl TextRule for RegexRule {
    fn score(&self, text: &str) -> Outcome {
        match self.regex.is_match(text) {
            Ok(true) => Outcome::Value(self.value),
            Ok(false) => Outcome::Value(self.otherwise),
            Err(error) => Outcome::Failed(format!("the expression could not be matched: {error}")),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::RewardKind;

    fn rule(pattern: &str) -> RegexRule {
        let config = RewardConfig {
            pattern: Some(pattern.into()),
            otherwise: Some(-0.5),
            ..RewardConfig::new(RewardKind::Regex)
        };
        RegexRule::read(&config, &mut Checks::default()).unwrap()
    }

    #[test]
    fn look_around_and_anchors() {
        let rule = rule(r"\A(?!.*sorry)\d+\z");
        assert_eq!(rule.score("12"), Outcome::Value(1.0));
        assert_eq!(rule.score("12 "), Outcome::Value(-0.5));
    }

    #[test]
    fn backtracking_without_end_is_a_failure_and_ends() {
        // The back-reference rules out the linear-time engine.
        let rule = rule(r"(a+)+\1b\z");
        let outcome = rule.score(&"a".repeat(60));
        assert!(
            matches!(outcome, Outcome::Failed(ref why) if why.contains("limit")),
            "{outcome:?}"
        );
    }
}
