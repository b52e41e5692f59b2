use serde::{Deserialize, Serialize};

use super::hint_rules::{RULES, Seen};
use super::history::{History, Line};

/// A sentence about a number that looks alarming, or is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hint {
    /// A short stable name.
    pub id: String,
    /// The step at which it was first so.
    pub step: u64,
    /// The metric's name.
    pub metric: String,
    /// Its value; absent where it is not finite.
    pub value: Option<f64>,
    /// Whether something should be done, rather than only understood.
    pub alarming: bool,
    /// What it means and what to do.
    pub text: String,
}

/// Looks at the numbers of a run as they come, and gives each hint once.
///
/// The same numbers give the same hints: see [`Watch::replay`].
#[derive(Default)]
pub struct Watch {
    seen: Seen,
    given: Vec<&'static str>,
}

impl Watch {
    /// Nothing seen yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The hints of a step that were not given before.
    pub fn observe(&mut self, step: u64, values: &[(&str, f64)]) -> Vec<Hint> {
        let mut hints = Vec::new();
        for rule in RULES {
            let Some(&(metric, value)) = values.iter().find(|(name, _)| (rule.about)(name)) else {
                continue;
            };
            if self.given.contains(&rule.id) || !(rule.holds)(value, values, &self.seen) {
                continue;
            }
            self.given.push(rule.id);
            hints.push(Hint {
                id: rule.id.to_owned(),
                step,
                metric: metric.to_owned(),
                value: value.is_finite().then_some(value),
                alarming: rule.alarming,
                text: rule.text.to_owned(),
            });
        }
        self.seen.add(values);
        hints
    }

    /// Observes all that a run has logged. A resumed run does so first, and leaves the hints: they
    /// were given.
    pub fn replay(&mut self, history: &History) -> Vec<Hint> {
        let observe = |line: &Line| {
            let values: Vec<(&str, f64)> =
                line.values.iter().map(|(name, value)| (name.as_str(), *value)).collect();
            self.observe(line.step, &values)
        };
        history.lines().iter().flat_map(observe).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ids of the hints of each step.
    fn ids(steps: &[&[(&str, f64)]]) -> Vec<Vec<String>> {
        let mut watch = Watch::new();
        let mut observe = |(step, values): (usize, &&[(&str, f64)])| {
            watch.observe(step as u64, values).into_iter().map(|hint| hint.id).collect()
        };
        steps.iter().enumerate().map(&mut observe).collect()
    }

    const NONE: [&str; 0] = [];

    #[test]
    fn a_loss_of_zero_is_explained_once_and_only_beside_a_reward() {
        let step: &[(&str, f64)] = &[("loss", 0.0), ("reward", 0.3)];
        assert_eq!(ids(&[step, step]), [vec!["loss-zero"], vec![]]);
        assert_eq!(ids(&[&[("loss", 0.0)]]), [NONE]);
        let hint = &Watch::new().observe(7, step)[0];
        assert!(!hint.alarming && hint.text.contains("Watch reward"));
        assert_eq!((hint.step, hint.metric.as_str(), hint.value), (7, "loss", Some(0.0)));
    }

    #[test]
    fn row_22_groups_without_a_signal_are_named() {
        let healthy: &[(&str, f64)] = &[("frac_reward_zero_std", 0.8)];
        let dead: &[(&str, f64)] = &[("frac_reward_zero_std", 1.0)];
        assert_eq!(ids(&[healthy, dead, dead]), [vec![], vec!["no-signal"], vec![]]);
    }

    #[test]
    fn limits_are_those_of_the_field() {
        for (metric, healthy, alarming, id) in [
            ("completions/clipped_ratio", 0.3, 0.31, "cut-off"),
            ("kl", 2.0, 2.1, "kl-high"),
            ("entropy", 0.05, 0.04, "entropy-low"),
            ("grad_norm", 1.0, 0.0, "grad-zero"),
            ("rewards/accuracy/failures", 0.0, 1.0, "lost-rewards"),
        ] {
            let steps =
                [[(metric, healthy), ("reward", 0.1)], [(metric, alarming), ("reward", 0.1)]];
            assert_eq!(ids(&[&steps[0], &steps[1]]), [vec![], vec![id]], "{metric}");
        }
    }

    #[test]
    fn a_spike_is_measured_against_what_was_usual() {
        let norm = |value| vec![("grad_norm", value)];
        // Ten steps of about 1; too few of them say nothing.
        let mut steps: Vec<_> = (0..10).map(|i| norm(0.9 + 0.02 * f64::from(i))).collect();
        steps.extend([norm(9.0), norm(11.0)]);
        let steps: Vec<&[(&str, f64)]> = steps.iter().map(Vec::as_slice).collect();
        let found = ids(&steps);
        assert_eq!(found[11], ["grad-spike"]);
        assert!(found[..11].iter().all(Vec::is_empty));
        assert_eq!(ids(&steps[8..]).concat(), NONE);
    }

    #[test]
    fn the_first_step_of_a_warm_up_and_of_a_reference_are_no_alarm() {
        let step: &[(&str, f64)] = &[("learning_rate", 0.0), ("kl", 0.0)];
        assert_eq!(ids(&[step]), [["kl-zero", "learning-rate-zero"]]);
        // Later on, 0 says something else: at the end of a schedule, nothing.
        assert_eq!(ids(&[&[("loss", 1.0)], step]).concat(), NONE);
    }

    #[test]
    fn evaluations_that_only_get_worse_are_named() {
        let losses = [2.0, 1.5, 1.52, 1.54, 1.56, 1.58, 1.6];
        let steps = losses.map(|loss| [("eval_loss", loss)]);
        let steps: Vec<&[(&str, f64)]> = steps.iter().map(|step| step.as_slice()).collect();
        // 2 % above 1.5 is 1.53: the third evaluation above it is that of 1.58.
        let found = ids(&steps);
        assert_eq!(found[5], ["eval-rising"]);
        assert_eq!(found.concat().len(), 1);
    }

    #[test]
    fn numbers_that_are_not_finite_do_not_confuse_it() {
        let broken: &[(&str, f64)] =
            &[("grad_norm", f64::NAN), ("loss", f64::INFINITY), ("kl", f64::NAN), ("reward", 1.0)];
        assert_eq!(ids(&[broken, broken]).concat(), NONE);
        let step: &[(&str, f64)] = &[("kl", f64::INFINITY)];
        assert_eq!(Watch::new().observe(0, step)[0].value, None);
    }
}
