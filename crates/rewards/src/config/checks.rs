use std::fmt;
use std::time::Duration;

/// One thing that is wrong with the settings of a reward.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigProblem {
    /// The key.
    pub key: &'static str,
    /// What is wrong with it, after the key: what was expected, what was found.
    pub problem: String,
}

impl fmt::Display for ConfigProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {}", self.key, self.problem)
    }
}

/// Collects problems, so that all of them are reported at once.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    pub(crate) problems: Vec<ConfigProblem>,
}

impl Checks {
    pub(crate) fn add(&mut self, key: &'static str, problem: impl Into<String>) {
        self.problems.push(ConfigProblem { key, problem: problem.into() });
    }

    /// A finite number, `default` where none is given.
    pub(crate) fn finite(&mut self, key: &'static str, given: Option<f64>, default: f64) -> f64 {
        let value = given.unwrap_or(default);
        if !value.is_finite() {
            self.add(key, format!("is {value}: expected a finite number"));
        }
        value
    }

    /// Seconds of patience.
    pub(crate) fn timeout(&mut self, given: Option<f64>) -> Duration {
        const DEFAULT_S: f64 = 60.0;
        // A day.
        const MOST_S: f64 = 86_400.0;
        let seconds = given.unwrap_or(DEFAULT_S);
        if (0.001..=MOST_S).contains(&seconds) {
            return Duration::from_secs_f64(seconds);
        }
        self.add("timeout_s", format!("is {seconds}: expected seconds from 0.001 to {MOST_S}"));
        Duration::from_secs_f64(DEFAULT_S)
    }

    /// The longest answer that is read.
    pub(crate) fn response_bytes(&mut self, given: Option<u64>) -> usize {
        const DEFAULT: u64 = 16 << 20;
        const MOST: u64 = 1 << 30;
        let bytes = given.unwrap_or(DEFAULT);
        if !(64..=MOST).contains(&bytes) {
            self.add("max_response_bytes", format!("is {bytes}: expected 64 to {MOST}"));
        }
        // At most 2^30, or a problem was added and nothing is built.
        bytes.min(MOST) as usize
    }

    /// How often something is tried again.
    pub(crate) fn attempts(&mut self, key: &'static str, given: Option<u32>) -> u32 {
        const DEFAULT: u32 = 3;
        const MOST: u32 = 100;
        let attempts = given.unwrap_or(DEFAULT);
        if attempts > MOST {
            self.add(key, format!("is {attempts}: expected at most {MOST}"));
        }
        attempts
    }
}
