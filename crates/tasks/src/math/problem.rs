use serde_json::{Value, json};

use super::hendrycks::is_equivalent;
use super::strict::{Equality, compare};
use crate::extract::{HendrycksBox, answer_blocks, final_answer, hendrycks_box, unmarked_answer};
use crate::{Exercise, Grade, Outcome, Problem, Profile, PromptStyle, TaskName, prompt};

/// d1's reward for an equivalent answer.
const CORRECT: f64 = 2.0;
/// d1's format reward is this times the sum of two parts, tags and box.
const FORMAT: f64 = 0.5;
/// Tags part where there is an `<answer>`.
const TAGS: f64 = 1.0;
/// Box part where the answer is boxed.
const BOX: f64 = 1.0;
/// Box part where it is not.
const NO_BOX: f64 = 0.5;

/// A competition problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MathProblem {
    problem: String,
    gold: String,
    pub(super) solution: Option<String>,
    pub(super) level: Option<String>,
    pub(super) subject: Option<String>,
}

impl MathProblem {
    /// A problem and its answer in LaTeX.
    pub fn new(problem: impl Into<String>, gold: impl Into<String>) -> Self {
        Self {
            problem: problem.into(),
            gold: gold.into(),
            solution: None,
            level: None,
            subject: None,
        }
    }

    /// The problem's text.
    pub fn problem(&self) -> &str {
        &self.problem
    }

    /// The gold answer.
    pub fn gold(&self) -> &str {
        &self.gold
    }

    /// The data set's worked solution.
    pub fn solution(&self) -> Option<&str> {
        self.solution.as_deref()
    }

    /// The difficulty as the data set names it, e.g. `Level 3`.
    pub fn level(&self) -> Option<&str> {
        self.level.as_deref()
    }

    /// The subject, e.g. `Algebra`.
    pub fn subject(&self) -> Option<&str> {
        self.subject.as_deref()
    }

    /// The last box. Without any box, the *whole text*: `<answer>` tags are looked at only where the
    /// box is empty or its braces never close.
    fn grade_d1(&self, completion: &str) -> Grade {
        let found = match hendrycks_box(completion) {
            HendrycksBox::Absent if is_equivalent(completion, &self.gold) => Some(completion),
            HendrycksBox::Absent => return Grade::whole(None, Outcome::NoAnswer),
            HendrycksBox::Found(content) if !content.is_empty() => Some(content),
            HendrycksBox::Found(_) | HendrycksBox::Unclosed => {
                answer_blocks(completion).next().map(|(_, content)| content.trim())
            }
        };
        let Some(answer) = found else {
            return Grade::whole(None, Outcome::NoAnswer);
        };
        let right = is_equivalent(answer, &self.gold);
        let verdict = if right { Outcome::Correct } else { Outcome::Wrong };
        Grade::whole(Some(answer.to_owned()), verdict)
    }

    fn grade_strict(&self, completion: &str) -> Grade {
        self.grade_answer(final_answer(completion))
    }

    /// As strict; where that finds no answer, the last thing that could be one.
    fn grade_flexible(&self, completion: &str) -> Grade {
        self.grade_answer(final_answer(completion).or_else(|| unmarked_answer(completion)))
    }

    fn grade_answer(&self, answer: Option<&str>) -> Grade {
        let Some(answer) = answer else {
            return Grade::whole(None, Outcome::NoAnswer);
        };
        let verdict = match compare(answer, &self.gold) {
            Equality::Equal => Outcome::Correct,
            Equality::Different => Outcome::Wrong,
            Equality::Undecided => Outcome::Undecided,
        };
        Grade::whole(Some(answer.to_owned()), verdict)
    }
}

impl Problem for MathProblem {
    fn task(&self) -> TaskName {
        TaskName::Math
    }

    fn prompt(&self, style: PromptStyle) -> String {
        match style {
            PromptStyle::D1 => prompt::with_format(&format!(
                "You are an expert in mathematics. Solve the following problem step by step and put \
                 the final answer in \\boxed{{}}.\n\n{}",
                self.problem
            )),
            PromptStyle::Compact => format!("{} :", self.problem),
        }
    }

    fn grade(&self, completion: &str, profile: Profile) -> Grade {
        match profile {
            Profile::D1 => self.grade_d1(completion),
            Profile::Strict => self.grade_strict(completion),
            Profile::Flexible => self.grade_flexible(completion),
        }
    }

    /// `Problem:` and `Solution:` with the data set's worked solution, which boxes the answer.
    fn exercise(&self) -> Option<Exercise> {
        Some(Exercise {
            ask: format!("Problem:\n{}\n\nSolution:", self.problem.trim()),
            worked: self.solution.as_deref().map(|text| text.trim().to_owned()),
        })
    }

    /// The same mathematics, as far as can be proved.
    fn same_answer(&self, a: &str, b: &str) -> bool {
        compare(a, b) == Equality::Equal
    }

    /// 2 for an answer equivalent to the gold, plus 1, 0.75, 0.5 or 0.25 for an `<answer>` with a box,
    /// an `<answer>`, a box, or neither.
    ///
    /// These are the intended values. d1's code looks for a backspace character where it means the
    /// backslash of `\boxed`, so that its format reward never exceeds 0.75 and is 0.25 without tags;
    /// that is not repeated here.
    fn reward(&self, completion: &str) -> f64 {
        let answer = match hendrycks_box(completion) {
            HendrycksBox::Found(content) => content,
            HendrycksBox::Absent | HendrycksBox::Unclosed => completion,
        };
        let correct = if is_equivalent(answer, &self.gold) { CORRECT } else { 0.0 };
        let tagged = completion.split_once("<answer>").map(|(_, after)| after);
        let (tags, place) = match tagged {
            Some(after) => (TAGS, after.split("</answer>").next().unwrap_or(after)),
            None => (0.0, completion),
        };
        let boxed = if place.contains("\\boxed") { BOX } else { NO_BOX };
        correct + FORMAT * (tags + boxed)
    }

    fn question_and_gold(&self) -> (String, Value) {
        (self.problem.clone(), json!(self.gold))
    }

    fn record(&self) -> Value {
        let mut record = json!({
            "task": TaskName::Math,
            "prompt": self.prompt(PromptStyle::D1),
            "problem": self.problem,
            "answer": self.gold,
        });
        let optional =
            [("solution", &self.solution), ("level", &self.level), ("subject", &self.subject)];
        for (key, value) in optional {
            if let Some(value) = value {
                record[key] = json!(value);
            }
        }
        record
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    fn half() -> MathProblem {
        MathProblem::new("One divided by two?", "\\frac{1}{2}")
    }

    #[test]
    fn rewards() {
        for (text, reward) in [
            ("<answer>\\boxed{\\frac12}</answer>", 3.0),
            ("\\boxed{1/2}", 2.5),
            ("<answer>\\boxed{2}</answer>", 1.0),
            ("<answer>\\frac12</answer>", 0.75),
            ("\\boxed{2}", 0.5),
            ("two", 0.25),
            ("\\frac{1}{2}", 2.25),
        ] {
            assert_eq!(half().reward(text), reward, "{text}");
        }
    }

    #[test]
    fn the_profiles_differ_on_equal_values_written_differently() {
        let verdict = |text: &str, profile| half().grade(text, profile).verdict;
        use Outcome::{Correct, NoAnswer, Wrong};
        for (text, d1, strict, flexible) in [
            ("\\boxed{\\dfrac12}", Correct, Correct, Correct),
            ("\\boxed{\\frac{2}{4}}", Wrong, Correct, Correct),
            ("<answer>0.50</answer>", NoAnswer, Correct, Correct),
            ("\\frac12", Correct, NoAnswer, Correct),
            ("\\boxed{} <answer>0.5</answer>", Correct, Correct, Correct),
            ("\\boxed{3}", Wrong, Wrong, Wrong),
            ("so $x = \\frac{1}{2}$.", NoAnswer, NoAnswer, Correct),
            ("<answer>\n1/2", NoAnswer, NoAnswer, Correct),
            ("from $\\frac12$ follows 3.", NoAnswer, NoAnswer, Correct),
            ("a half", NoAnswer, NoAnswer, NoAnswer),
        ] {
            assert_eq!(verdict(text, Profile::D1), d1, "{text}");
            assert_eq!(verdict(text, Profile::Strict), strict, "{text}");
            assert_eq!(verdict(text, Profile::Flexible), flexible, "{text}");
        }
    }

    #[test]
    fn votes_for_equal_values_count_together() {
        assert!(half().same_answer("\\frac{1}{2}", "0.5") && !half().same_answer("1", "2"));
    }
}
