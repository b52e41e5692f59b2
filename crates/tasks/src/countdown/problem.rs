use std::fmt::Write as _;

use dashu::rational::RBig;
use serde_json::{Value, json};

use super::d1;
use super::{Expression, Syntax};
use crate::extract::{OnlyAnswer, last_answer_block, only_answer};
use crate::{Grade, Outcome, Problem, Profile, PromptStyle, TaskError, TaskName, prompt};

/// d1's reward for a right answer.
const RIGHT: f64 = 1.0;
/// d1's reward for any `<answer>` block at all. The paper pays it only for the right numbers.
const ANY_ANSWER: f64 = 0.1;

/// Numbers to combine and a target to reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountdownProblem {
    numbers: Vec<u64>,
    target: u64,
}

impl CountdownProblem {
    /// A problem, not necessarily a solvable one.
    ///
    /// # Errors
    /// [`TaskError::Field`] if there are no numbers.
    pub fn new(numbers: Vec<u64>, target: u64) -> Result<Self, TaskError> {
        if numbers.is_empty() {
            return Err(TaskError::field("numbers", "at least one number", "none"));
        }
        Ok(Self { numbers, target })
    }

    /// The numbers, each to be used once.
    pub fn numbers(&self) -> &[u64] {
        &self.numbers
    }

    /// The value to reach.
    pub fn target(&self) -> u64 {
        self.target
    }

    fn solved_for_d1(&self, equation: &str) -> bool {
        d1::uses_exactly(equation, &self.numbers) && d1::reaches(equation, self.target)
    }

    fn grade_d1(&self, completion: &str) -> Grade {
        let equation = d1::equation(completion);
        if self.solved_for_d1(&equation.text) {
            Grade::whole(Some(equation.text), Outcome::Correct)
        } else if equation.marked {
            Grade::whole(Some(equation.text), Outcome::Wrong)
        } else {
            Grade::whole(None, Outcome::NoAnswer)
        }
    }

    /// One expression in [`Syntax::Strict`] with the given numbers and exactly the target's value.
    fn grade_strict(&self, completion: &str) -> Grade {
        let answer = match only_answer(completion) {
            OnlyAnswer::Missing => return Grade::whole(None, Outcome::NoAnswer),
            OnlyAnswer::Several => return Grade::whole(None, Outcome::Wrong),
            OnlyAnswer::One(answer) => answer,
        };
        let value = Expression::parse(answer, Syntax::Strict).and_then(|read| read.evaluate());
        let right = d1::uses_exactly(answer, &self.numbers) && value == Ok(RBig::from(self.target));
        let verdict = if right { Outcome::Correct } else { Outcome::Wrong };
        Grade::whole(Some(answer.to_owned()), verdict)
    }
}

impl Problem for CountdownProblem {
    fn task(&self) -> TaskName {
        TaskName::Countdown
    }

    fn prompt(&self, style: PromptStyle) -> String {
        match style {
            PromptStyle::D1 => prompt::with_format(&format!(
                "Combine the numbers {:?} into an arithmetic expression whose value is exactly {}. Use \
                 every number of the list exactly once, with the operations +, -, * and / as needed. \
                 Put only the expression between the answer tags, with neither an equals sign nor the \
                 target. For the numbers [2, 3, 4] and the target 5, one right answer is:\n\
                 <answer>\n2*4-3\n</answer>",
                self.numbers, self.target
            )),
            PromptStyle::Compact => {
                let mut text = "countdown".to_owned();
                for number in &self.numbers {
                    // Writing to a string cannot fail.
                    let _ = write!(text, " {number}");
                }
                let _ = write!(text, " target {} :", self.target);
                text
            }
        }
    }

    fn grade(&self, completion: &str, profile: Profile) -> Grade {
        match profile {
            Profile::D1 => self.grade_d1(completion),
            Profile::Strict => self.grade_strict(completion),
        }
    }

    /// 0 without an `<answer>` block; 1 if the last block uses the numbers and comes within 1e-5 of
    /// the target; 0.1 otherwise.
    fn reward(&self, completion: &str) -> f64 {
        match last_answer_block(completion) {
            None => 0.0,
            Some(answer) if self.solved_for_d1(answer) => RIGHT,
            Some(_) => ANY_ANSWER,
        }
    }

    fn family(&self) -> String {
        let mut numbers = self.numbers.clone();
        numbers.sort_unstable();
        format!("{numbers:?} {}", self.target)
    }

    fn record(&self) -> Value {
        json!({
            "task": TaskName::Countdown,
            "prompt": self.prompt(PromptStyle::D1),
            "numbers": self.numbers,
            "target": self.target,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    fn problem() -> CountdownProblem {
        CountdownProblem::new(vec![30, 100, 93], 23).unwrap()
    }

    #[test]
    fn the_reward_vectors() {
        let reward = |answer: &str| problem().reward(&format!("thus <answer>{answer}</answer>"));
        assert_eq!(reward("(30+93)-100"), 1.0);
        assert_eq!(reward("\n100 - 93 + 30\n"), 0.1);
        assert_eq!(reward("23"), 0.1);
        assert_eq!(reward("9**9**9"), 0.1);
        assert_eq!(reward("30/(100-100)"), 0.1);
        assert_eq!(problem().reward("(30+93)-100"), 0.0);
    }

    #[test]
    fn the_profiles_differ_where_d1_is_lenient() {
        let verdict = |text: &str, profile| problem().grade(text, profile).verdict;
        for (text, d1, strict) in [
            ("<answer>\\boxed{30+93-100}</answer>", Outcome::Correct, Outcome::Correct),
            ("\\boxed{30+93-100}", Outcome::Correct, Outcome::Correct),
            ("<answer>30 + 93 - 100 = 23</answer>", Outcome::Correct, Outcome::Wrong),
            ("so 30 + 93 - 100 = 23 it is", Outcome::Correct, Outcome::NoAnswer),
            ("\\boxed{1} or \\boxed{30+93-100}", Outcome::Correct, Outcome::Wrong),
            ("30+93-100", Outcome::Correct, Outcome::NoAnswer),
            // d1 evaluates with prompts that ask for a box, and reads nothing else.
            ("<answer>30+93-100</answer>", Outcome::NoAnswer, Outcome::Correct),
            ("<answer>30+93</answer>", Outcome::NoAnswer, Outcome::Wrong),
        ] {
            assert_eq!(verdict(text, Profile::D1), d1, "{text}");
            assert_eq!(verdict(text, Profile::Strict), strict, "{text}");
        }
    }

    #[test]
    fn nearly_is_not_exactly() {
        // Off by 1e-6, within d1's tolerance.
        let near = CountdownProblem::new(vec![999_999, 1_000_000], 1).unwrap();
        let text = "\\boxed{999999/1000000}";
        assert_eq!(near.grade(text, Profile::D1).verdict, Outcome::Correct);
        assert_eq!(near.grade(text, Profile::Strict).verdict, Outcome::Wrong);
    }

    #[test]
    fn prompts() {
        assert_eq!(problem().prompt(PromptStyle::Compact), "countdown 30 100 93 target 23 :");
        assert!(problem().prompt(PromptStyle::D1).contains("[30, 100, 93]"));
    }
}
