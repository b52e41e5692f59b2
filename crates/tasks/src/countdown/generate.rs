use std::ops::RangeInclusive;

use afterthought_random::Stream;
use dashu::rational::RBig;
use serde::{Deserialize, Serialize};

use super::{CountdownProblem, Expression, Operation};
use crate::TaskError;

/// What problems [`generate`] makes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CountdownSettings {
    /// How many numbers, at least 2; the published tasks have 3, 4 and 5.
    pub count: usize,
    /// Range of each number.
    pub numbers: RangeInclusive<u64>,
    /// Range of the target.
    pub targets: RangeInclusive<u64>,
    /// Operations that the constructed solution may use (an answer may use all four).
    pub operations: Vec<Operation>,
}

impl Default for CountdownSettings {
    /// d1's problems: three numbers and a target in 1..=100, all operations.
    fn default() -> Self {
        Self { count: 3, numbers: 1..=100, targets: 1..=100, operations: Operation::ALL.to_vec() }
    }
}

/// Most numbers a generated problem may have, which also bounds the size of values.
const MAX_COUNT: usize = 10;

/// Expressions tried before giving up.
const TRIES: usize = 100_000;

/// A random problem and the solution it was made from, so that it is solvable by construction.
///
/// Numbers are drawn uniformly, then random pairs are combined by random operations as long as
/// results are whole and not negative; the last value is the target if it lies in its range.
///
/// # Errors
/// [`TaskError::CountdownSettings`] for settings that describe no problem,
/// [`TaskError::NoCountdown`] if no target fell into the range.
pub fn generate(
    stream: &mut Stream,
    settings: &CountdownSettings,
) -> Result<(CountdownProblem, Expression), TaskError> {
    settings.check()?;
    for _ in 0..TRIES {
        if let Some((numbers, solution, target)) = draw(stream, settings) {
            return Ok((CountdownProblem::new(numbers, target)?, solution));
        }
    }
    let (low, high) = (*settings.targets.start(), *settings.targets.end());
    Err(TaskError::NoCountdown { low, high, tries: TRIES })
}

impl CountdownSettings {
    fn check(&self) -> Result<(), TaskError> {
        let error =
            |key, expected, actual| Err(TaskError::CountdownSettings { key, expected, actual });
        if !(2..=MAX_COUNT).contains(&self.count) {
            return error("count", "2 to 10", self.count.to_string());
        }
        for (key, range) in [("numbers", &self.numbers), ("targets", &self.targets)] {
            if range.is_empty() || *range.end() > u64::from(u32::MAX) {
                return error(key, "a range that is not empty, below 2^32", format!("{range:?}"));
            }
        }
        if self.operations.is_empty() {
            return error("operations", "at least one", "none".to_owned());
        }
        Ok(())
    }
}

fn draw(stream: &mut Stream, settings: &CountdownSettings) -> Option<(Vec<u64>, Expression, u64)> {
    let (low, high) = (*settings.numbers.start(), *settings.numbers.end());
    // The range was checked to lie below 2^32, so its size fits.
    let size = (high - low + 1) as usize;
    let numbers: Vec<u64> = (0..settings.count).map(|_| low + stream.below(size) as u64).collect();
    let mut pool: Vec<(Expression, RBig)> =
        numbers.iter().map(|&n| (Expression::integer(n), RBig::from(n))).collect();
    while pool.len() > 1 {
        let (left, a) = pool.swap_remove(stream.below(pool.len()));
        let (right, b) = pool.swap_remove(stream.below(pool.len()));
        let operation = *stream.choose(&settings.operations);
        let value = operation.apply(&a, &b)?;
        if !value.is_int() || value < RBig::ZERO {
            return None;
        }
        pool.push((Expression::binary(operation, left, right), value));
    }
    let (solution, value) = pool.pop()?;
    let target = u64::try_from(value.numerator()).ok()?;
    settings.targets.contains(&target).then_some((numbers, solution, target))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use crate::{Outcome, Problem, Profile};

    #[test]
    fn problems_come_with_a_solution_and_keep_to_the_settings() {
        for count in 3..=5 {
            for sample in 0..50 {
                let settings = CountdownSettings { count, ..CountdownSettings::default() };
                let mut stream = Stream::new(5, "countdown", count as u64, sample);
                let (problem, solution) = generate(&mut stream, &settings).unwrap();
                assert_eq!(problem.numbers().len(), count);
                assert!(problem.numbers().iter().all(|number| (1..=100).contains(number)));
                assert!((1..=100).contains(&problem.target()));
                let completion = format!("<answer>\\boxed{{{solution:#}}}</answer>");
                for profile in Profile::ALL {
                    assert_eq!(problem.grade(&completion, profile).verdict, Outcome::Correct);
                }
                assert_eq!(problem.reward(&format!("<answer>{solution}</answer>")), 1.0);
            }
        }
    }

    #[test]
    fn operations_can_be_restricted() {
        let settings = CountdownSettings {
            operations: vec![Operation::Add],
            targets: 0..=300,
            ..CountdownSettings::default()
        };
        let (problem, _) = generate(&mut Stream::new(5, "countdown", 0, 0), &settings).unwrap();
        assert_eq!(problem.numbers().iter().sum::<u64>(), problem.target());
    }

    #[test]
    fn settings_without_problems_are_errors() {
        let base = CountdownSettings::default;
        #[allow(clippy::reversed_empty_ranges)]
        let empty = 5..=4;
        for (settings, key) in [
            (CountdownSettings { count: 1, ..base() }, "count"),
            (CountdownSettings { numbers: empty, ..base() }, "numbers"),
            (CountdownSettings { operations: Vec::new(), ..base() }, "operations"),
        ] {
            let error = generate(&mut Stream::new(5, "countdown", 0, 0), &settings).unwrap_err();
            let TaskError::CountdownSettings { key: found, .. } = error else { panic!("{error}") };
            assert_eq!(found, key);
        }
        let impossible = CountdownSettings { numbers: 1..=1, targets: 90..=100, ..base() };
        let error = generate(&mut Stream::new(5, "countdown", 0, 0), &impossible).unwrap_err();
        assert!(matches!(error, TaskError::NoCountdown { .. }), "{error}");
    }
}
