use super::{Habit, Writer, Written, in_format};
use crate::countdown::{CountdownProblem, part_of};
use crate::{Problem, PromptStyle, TaskError};
use afterthought_random::Stream;

pub use crate::countdown::Part;

/// Largest number that the word-level vocabulary has.
const LARGEST: i64 = 100;

/// Writes about Countdown problems of three numbers 1-10.
///
/// Solutions have the form `( a op b ) op c`.
/// * methodical, plan word `work`: for each number `c` in turn, what the other two would have to
///   make (`T - c`, `T + c`, `T / c`, `x` where impossible), what they do make (sum, difference,
///   product), and the value that is in both lists, `x` if none is; stops at the first match;
/// * casual, plan word `try`: computes one or two expressions at random and answers with a hit or
///   else with the last one;
/// * hasty: answers with a random expression of the right numbers and forgets the parentheses.
///
/// Problems are split by a hash of numbers and target, so that no test problem is ever written
/// about.
#[derive(Clone, Debug)]
pub struct CountdownWriter {
    /// Smallest and largest target.
    pub targets: std::ops::RangeInclusive<u64>,
    /// Which part of the problems to draw from.
    pub part: Part,
}

pub(super) fn words() -> Vec<String> {
    let mut words: Vec<String> =
        ["countdown", "target", ":", "work", "try", "x", "(", ")", "+", "-", "*", "="]
            .into_iter()
            .map(ToOwned::to_owned)
            .collect();
    words.extend((0..=LARGEST).map(|number| number.to_string()));
    words
}

const OPERATIONS: [char; 3] = ['+', '-', '*'];

fn apply(operation: char, left: i64, right: i64) -> i64 {
    match operation {
        '+' => left + right,
        '-' => left - right,
        _ => left * right,
    }
}

/// `( a op b ) op c`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Attempt {
    pair: (i64, i64),
    inner: char,
    last: i64,
    outer: char,
}

impl Attempt {
    fn value(self) -> i64 {
        apply(self.outer, apply(self.inner, self.pair.0, self.pair.1), self.last)
    }

    fn text(self) -> String {
        let Self { pair: (a, b), inner, last, outer } = self;
        format!("( {a} {inner} {b} ) {outer} {last}")
    }
}

/// The number at `index` and the other two, larger first.
fn split_at(numbers: &[i64; 3], index: usize) -> (i64, (i64, i64)) {
    let (a, b) = (numbers[(index + 1) % 3], numbers[(index + 2) % 3]);
    (numbers[index], (a.max(b), a.min(b)))
}

/// What the other two numbers must make, by the operation that brings `last` in.
fn needs(target: i64, last: i64) -> [Option<i64>; 3] {
    [
        (target > last).then(|| target - last),
        (target + last <= LARGEST).then(|| target + last),
        (target % last == 0).then(|| target / last),
    ]
}

/// The first solution in the methodical order and the index of the number that comes in last.
fn first_solution(numbers: &[i64; 3], target: i64) -> Option<(usize, Attempt)> {
    (0..3).find_map(|index| {
        let (last, pair) = split_at(numbers, index);
        let needs = needs(target, last);
        OPERATIONS.into_iter().zip(needs).find_map(|(outer, need)| {
            let inner =
                OPERATIONS.into_iter().find(|inner| Some(apply(*inner, pair.0, pair.1)) == need)?;
            Some((index, Attempt { pair, inner, last, outer }))
        })
    })
}

/// Whether the methodical writer can solve the problem.
pub fn is_writable(numbers: &[u64], target: u64) -> bool {
    let Ok(numbers) = <[u64; 3]>::try_from(numbers) else {
        return false;
    };
    first_solution(&numbers.map(|n| n as i64), target as i64).is_some()
}

/// `c  T-c T+c T/c  a+b a-b a*b  match` for the number at `index`.
fn work(numbers: &[i64; 3], target: i64, index: usize) -> Vec<String> {
    let (last, (a, b)) = split_at(numbers, index);
    let needs = needs(target, last);
    let made = OPERATIONS.map(|operation| apply(operation, a, b));
    // In the order of the needs, as the solution is chosen.
    let matched = needs.into_iter().flatten().find(|need| made.contains(need));
    let word = |value: Option<i64>| value.map_or_else(|| "x".to_owned(), |n| n.to_string());
    let mut words = vec![last.to_string()];
    words.extend(needs.map(word));
    words.extend(made.map(|value| value.to_string()));
    words.push(word(matched));
    words
}

fn methodical(numbers: &[i64; 3], target: i64, solved_at: usize) -> Vec<String> {
    let mut reasoning = vec!["work".to_owned()];
    reasoning.extend((0..=solved_at).flat_map(|index| work(numbers, target, index)));
    reasoning
}

/// `( a op b ) op c = value`.
fn tried(attempt: Attempt) -> Vec<String> {
    let mut words: Vec<String> = attempt.text().split(' ').map(ToOwned::to_owned).collect();
    words.extend(["=".to_owned(), attempt.value().to_string()]);
    words
}

/// An expression of the three numbers whose value the vocabulary has.
fn random_attempt(numbers: &[i64; 3], stream: &mut Stream) -> Attempt {
    loop {
        let (last, pair) = split_at(numbers, stream.below(3));
        let (inner, outer) = (*stream.choose(&OPERATIONS), *stream.choose(&OPERATIONS));
        let attempt = Attempt { pair, inner, last, outer };
        if (0..=LARGEST).contains(&attempt.value()) {
            return attempt;
        }
    }
}

/// A writable problem.
struct Drawn {
    numbers: [i64; 3],
    target: i64,
    solved_at: usize,
    solution: Attempt,
}

impl CountdownWriter {
    fn contains(&self, numbers: &[i64; 3], target: i64) -> bool {
        self.part == part_of(&numbers.map(|n| n as u64), target as u64)
    }

    fn draw(&self, stream: &mut Stream) -> Drawn {
        let (low, high) = (*self.targets.start() as i64, *self.targets.end() as i64);
        loop {
            let numbers = [0; 3].map(|_| 1 + stream.below(10) as i64);
            // A random expression, not a random target, so that there is a solution.
            let target = random_attempt(&numbers, stream).value();
            if !(low..=high).contains(&target) || !self.contains(&numbers, target) {
                continue;
            }
            if let Some((solved_at, solution)) = first_solution(&numbers, target) {
                return Drawn { numbers, target, solved_at, solution };
            }
        }
    }
}

impl Drawn {
    fn problem(&self) -> Result<CountdownProblem, TaskError> {
        let numbers = self.numbers.iter().map(|n| *n as u64).collect();
        CountdownProblem::new(numbers, self.target as u64)
    }

    fn written(&self, completion: String) -> Result<Written, TaskError> {
        Ok(Written { prompt: self.problem()?.prompt(PromptStyle::Compact), completion })
    }

    fn methodical(&self) -> Vec<String> {
        methodical(&self.numbers, self.target, self.solved_at)
    }
}

impl Writer for CountdownWriter {
    fn problem(&self, stream: &mut Stream) -> Result<Box<dyn Problem>, TaskError> {
        Ok(Box::new(self.draw(stream).problem()?))
    }

    fn corpus(&self, habit: Habit, stream: &mut Stream) -> Result<Written, TaskError> {
        let drawn = self.draw(stream);
        let solution = drawn.solution.text();
        let completion = match habit {
            Habit::Methodical => in_format(&drawn.methodical(), &solution),
            Habit::Casual => {
                let mut reasoning = vec!["try".to_owned()];
                let mut attempt = random_attempt(&drawn.numbers, stream);
                reasoning.extend(tried(attempt));
                if attempt.value() != drawn.target && stream.chance(0.5) {
                    attempt = random_attempt(&drawn.numbers, stream);
                    reasoning.extend(tried(attempt));
                }
                in_format(&reasoning, &attempt.text())
            }
            Habit::Hasty => {
                let guess = random_attempt(&drawn.numbers, stream).text();
                in_format(&[], &guess.replace("( ", "").replace(" )", ""))
            }
            Habit::Formless => {
                format!("<reasoning> {} </reasoning> {solution}", drawn.methodical().join(" "))
            }
        };
        drawn.written(completion)
    }

    fn teacher(
        &self,
        share: f64,
        correction: f64,
        stream: &mut Stream,
    ) -> Result<Written, TaskError> {
        let drawn = self.draw(stream);
        let slip = stream.chance(correction);
        let reasoning = if stream.chance(share) {
            let mut reasoning = drawn.methodical();
            if slip {
                // A wrong sum in the first line, put right at once.
                let sum: i64 = reasoning[5].parse().unwrap_or(0);
                let wrong = (sum + 1 + stream.below(3) as i64).min(LARGEST);
                reasoning.splice(5..5, [wrong.to_string(), "wait".to_owned()]);
            }
            reasoning
        } else {
            let mut reasoning = vec!["try".to_owned()];
            if slip {
                let attempt = random_attempt(&drawn.numbers, stream);
                if attempt.value() != drawn.target {
                    reasoning.extend(tried(attempt));
                    reasoning.push("wait".to_owned());
                }
            }
            reasoning.extend(tried(drawn.solution));
            reasoning
        };
        drawn.written(in_format(&reasoning, &drawn.solution.text()))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{Outcome, Profile};

    fn writer(part: Part) -> CountdownWriter {
        CountdownWriter { targets: 10..=60, part }
    }

    fn accuracy(write: &dyn Fn(&CountdownWriter, &mut Stream) -> Written) -> f64 {
        let writer = writer(Part::Train);
        let right = (0..400).filter(|sample| {
            let problem = writer.draw(&mut Stream::new(1, "t", 0, *sample)).problem().unwrap();
            let written = write(&writer, &mut Stream::new(1, "t", 0, *sample));
            assert_eq!(written.prompt, problem.prompt(PromptStyle::Compact));
            let known = super::super::vocabulary();
            for word in written.prompt.split(' ').chain(written.completion.split(' ')) {
                assert!(known.iter().any(|k| k == word), "{word} is not in the vocabulary");
            }
            problem.grade(&written.completion, Profile::Strict).verdict == Outcome::Correct
        });
        right.count() as f64 / 400.0
    }

    #[test]
    fn habits_are_worth_what_they_say() {
        let of =
            |habit| accuracy(&|w: &CountdownWriter, s: &mut Stream| w.corpus(habit, s).unwrap());
        assert_eq!(of(Habit::Methodical), 1.0);
        assert_eq!(of(Habit::Formless), 0.0);
        assert!(of(Habit::Casual) < 0.3);
        assert!(of(Habit::Hasty) < 0.4);
    }

    #[test]
    fn teachers_are_right() {
        for share in [0.0, 0.5, 1.0] {
            let right =
                accuracy(&|w: &CountdownWriter, s: &mut Stream| w.teacher(share, 0.5, s).unwrap());
            assert_eq!(right, 1.0);
        }
    }

    #[test]
    fn parts_are_disjoint() {
        let keys = |part| {
            let writer = writer(part);
            (0..300)
                .map(|sample| {
                    let drawn = writer.draw(&mut Stream::new(3, "t", 0, sample));
                    let mut numbers = drawn.numbers;
                    numbers.sort_unstable();
                    (numbers, drawn.target)
                })
                .collect::<std::collections::HashSet<_>>()
        };
        let (train, validation, test) =
            (keys(Part::Train), keys(Part::Validation), keys(Part::Test));
        assert!(train.is_disjoint(&test) && train.is_disjoint(&validation));
        assert!(validation.is_disjoint(&test));
    }
}
