use std::fmt::Write as _;

use dashu::rational::RBig;
use serde_json::{Value, json};

use super::d1;
use super::{Expression, Syntax};
use crate::extract::{OnlyAnswer, before_end, final_answer, last_answer_block, only_answer};
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
        let verdict = if self.reached_by(answer) { Outcome::Correct } else { Outcome::Wrong };
        Grade::whole(Some(answer.to_owned()), verdict)
    }

    /// What strict takes; else the last answer of several, or the last line with a digit. LaTeX and
    /// typographic signs are operators, and what follows an equals sign is passed over.
    fn grade_flexible(&self, completion: &str) -> Grade {
        let strict = self.grade_strict(completion);
        if strict.verdict == Outcome::Correct {
            return strict;
        }
        let last_line = || {
            let mut lines = before_end(completion).lines();
            lines.rfind(|line| line.contains(|c: char| c.is_ascii_digit()))
        };
        let Some(answer) = final_answer(completion).or_else(last_line) else {
            return Grade::whole(None, Outcome::NoAnswer);
        };
        let mut expression = answer.split('=').next().unwrap_or(answer).replace(['$', '`'], "");
        for (sign, operator) in
            [("\\times", "*"), ("\\cdot", "*"), ("\\div", "/"), ("×", "*"), ("÷", "/"), ("−", "-")]
        {
            expression = expression.replace(sign, operator);
        }
        let verdict = match self.reached_by(expression.trim()) {
            true => Outcome::Correct,
            false => Outcome::Wrong,
        };
        Grade::whole(Some(answer.trim().to_owned()), verdict)
    }

    fn reached_by(&self, expression: &str) -> bool {
        let value = Expression::parse(expression, Syntax::Strict).and_then(|read| read.evaluate());
        d1::uses_exactly(expression, &self.numbers) && value == Ok(RBig::from(self.target))
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
            Profile::Flexible => self.grade_flexible(completion),
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

    fn question_and_gold(&self) -> (String, Value) {
        let question = format!("Numbers: {:?}\nTarget: {}", self.numbers, self.target);
        (question, json!([self.numbers, self.target]))
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
        use Outcome::{Correct, NoAnswer, Wrong};
        for (text, d1, strict, flexible) in [
            ("<answer>\\boxed{30+93-100}</answer>", Correct, Correct, Correct),
            ("\\boxed{30+93-100}", Correct, Correct, Correct),
            ("<answer>30 + 93 - 100 = 23</answer>", Correct, Wrong, Correct),
            ("so 30 + 93 - 100 = 23 it is", Correct, NoAnswer, Wrong),
            ("so\n$30 + 93 − 100 = 23$\nit is", Wrong, NoAnswer, Correct),
            ("\\boxed{1} or \\boxed{30+93-100}", Correct, Wrong, Correct),
            ("30+93-100", Correct, NoAnswer, Correct),
            ("none", NoAnswer, NoAnswer, NoAnswer),
            // d1 evaluates with prompts that ask for a box, and reads nothing else.
            ("<answer>30+93-100</answer>", NoAnswer, Correct, Correct),
            ("<answer>30+93</answer>", NoAnswer, Wrong, Wrong),
        ] {
            assert_eq!(verdict(text, Profile::D1), d1, "{text}");
            assert_eq!(verdict(text, Profile::Strict), strict, "{text}");
            assert_eq!(verdict(text, Profile::Flexible), flexible, "{text}");
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
