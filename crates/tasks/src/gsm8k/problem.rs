use serde_json::{Value, json};

use super::number::{Reading, last_number, read as read_number};
use super::{d1, reward};
use crate::extract::{before_end, final_answer};
use crate::{Exercise, Grade, Outcome, Problem, Profile, PromptStyle, TaskName, prompt};

/// A word problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gsm8kProblem {
    question: String,
    worked: String,
    gold: Option<String>,
}

impl Gsm8kProblem {
    /// A problem from its question and worked solution; what follows the first `####` is the gold
    /// answer. `None` without one.
    pub fn new(question: impl Into<String>, worked: impl Into<String>) -> Option<Self> {
        let (question, worked) = (question.into(), worked.into());
        let gold = worked.split("####").nth(1)?.trim().to_owned();
        Some(Self { question, worked, gold: Some(gold) })
    }

    /// A problem of which only the final answer is known, or not even that: d1's files have no gold
    /// for two items. Under [`Profile::D1`] nothing equals a missing gold; under [`Profile::Strict`]
    /// such an item is [`Outcome::Undecided`].
    pub fn with_gold(question: impl Into<String>, gold: Option<String>) -> Self {
        let worked = gold.as_ref().map_or_else(String::new, |gold| format!("#### {gold}"));
        Self { question: question.into(), worked, gold }
    }

    /// The question.
    pub fn question(&self) -> &str {
        &self.question
    }

    /// The data set's worked solution, ending in `#### gold`; empty without a gold.
    pub fn worked(&self) -> &str {
        &self.worked
    }

    /// The gold answer as written in the data set.
    pub fn gold(&self) -> Option<&str> {
        self.gold.as_deref()
    }

    fn grade_d1(&self, completion: &str) -> Grade {
        let Some((answer, value)) = d1::answer(completion) else {
            return Grade::whole(None, Outcome::NoAnswer);
        };
        // Unlike the answer, the gold is read without its thousands separators.
        let gold = self.gold().and_then(|gold| d1::python_float(&gold.replace(',', "")));
        let verdict = if gold == Some(value) { Outcome::Correct } else { Outcome::Wrong };
        Grade::whole(Some(answer), verdict)
    }

    fn grade_strict(&self, completion: &str) -> Grade {
        let Some(answer) = final_answer(completion) else {
            return Grade::whole(None, Outcome::NoAnswer);
        };
        Grade::whole(Some(answer.to_owned()), self.compare(answer))
    }

    /// As strict, but where that answer holds several numbers or none, or is missing: the last number
    /// of the answer, else of the whole text.
    fn grade_flexible(&self, completion: &str) -> Grade {
        let answer = final_answer(completion);
        if let Some(answer) = answer.filter(|answer| matches!(read_number(answer), Reading::One(_)))
        {
            return Grade::whole(Some(answer.to_owned()), self.compare(answer));
        }
        let last = answer.and_then(last_number).or_else(|| last_number(before_end(completion)));
        match last {
            Some(number) => Grade::whole(Some(number.to_owned()), self.compare(number)),
            None => Grade::whole(None, Outcome::NoAnswer),
        }
    }

    fn compare(&self, answer: &str) -> Outcome {
        let gold = self.gold().map_or(Reading::Nothing, read_number);
        match (gold, read_number(answer)) {
            (Reading::One(gold), Reading::One(value)) if gold == value => Outcome::Correct,
            (Reading::One(_), Reading::One(_) | Reading::Nothing) => Outcome::Wrong,
            _ => Outcome::Undecided,
        }
    }
}

impl Problem for Gsm8kProblem {
    fn task(&self) -> TaskName {
        TaskName::Gsm8k
    }

    fn prompt(&self, style: PromptStyle) -> String {
        match style {
            PromptStyle::D1 => prompt::with_format(&self.question),
            PromptStyle::Compact => format!("{} :", self.question),
        }
    }

    fn grade(&self, completion: &str, profile: Profile) -> Grade {
        match profile {
            Profile::D1 => self.grade_d1(completion),
            Profile::Strict => self.grade_strict(completion),
            Profile::Flexible => self.grade_flexible(completion),
        }
    }

    /// `Question: ..\nAnswer:` and the data set's own worked solution, calculator annotations
    /// included, as evaluations of base models commonly show it.
    fn exercise(&self) -> Option<Exercise> {
        Some(Exercise {
            ask: format!("Question: {}\nAnswer:", self.question.trim()),
            worked: Some(self.worked.trim().to_owned()).filter(|worked| !worked.is_empty()),
        })
    }

    /// Equal as numbers; where one of them is no single number, equal as text.
    fn same_answer(&self, a: &str, b: &str) -> bool {
        match (read_number(a), read_number(b)) {
            (Reading::One(a), Reading::One(b)) => a == b,
            _ => a.trim() == b.trim(),
        }
    }

    /// The sum of five rewards: correct 2, integer 0.5, two formats 0.5 each, tags up to 0.5 less
    /// 0.001 or 0.002 for each character after the answer.
    fn reward(&self, completion: &str) -> f64 {
        reward::total(completion, self.gold())
    }

    fn question_and_gold(&self) -> (String, Value) {
        (self.question.clone(), json!(self.gold))
    }

    fn record(&self) -> Value {
        json!({
            "task": TaskName::Gsm8k,
            "prompt": self.prompt(PromptStyle::D1),
            "question": self.question,
            "answer": self.worked,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn the_profiles_on_commas_boxes_and_units() {
        let problem =
            Gsm8kProblem::new("How many?", "500*2=<<500*2=1000>>1000\n#### 1,000").unwrap();
        let verdict = |text: &str, profile| problem.grade(text, profile).verdict;
        use Outcome::{Correct, NoAnswer, Undecided, Wrong};
        for (text, d1, strict, flexible) in [
            ("\\boxed{1000}", Correct, Correct, Correct),
            ("\\boxed{1,000}", Wrong, Correct, Correct),
            ("\\boxed{5} no, \\boxed{1000}", Wrong, Correct, Correct),
            ("\\boxed{1000} no, \\boxed{5}", Correct, Wrong, Wrong),
            ("<answer>\\$1000.00</answer>", Correct, Correct, Correct),
            ("#### 1000", NoAnswer, Correct, Correct),
            ("\\boxed{1000}<|eot_id|>\\boxed{5}", Correct, Correct, Correct),
            ("\\boxed{10 or 1000}", Wrong, Undecided, Correct),
            ("it is $1,000.", NoAnswer, NoAnswer, Correct),
            ("so 1000.<|eot_id|>5", NoAnswer, NoAnswer, Correct),
            ("<answer>1000", NoAnswer, NoAnswer, Correct),
            ("1000 or 5", NoAnswer, NoAnswer, Wrong),
            ("a thousand", NoAnswer, NoAnswer, NoAnswer),
            ("1000 <answer>a thousand</answer>", NoAnswer, Wrong, Correct),
        ] {
            assert_eq!(verdict(text, Profile::D1), d1, "{text}");
            assert_eq!(verdict(text, Profile::Strict), strict, "{text}");
            assert_eq!(verdict(text, Profile::Flexible), flexible, "{text}");
        }
    }

    #[test]
    fn votes_for_equal_numbers_count_together() {
        let problem = Gsm8kProblem::with_gold("How many?", Some("1".into()));
        assert!(problem.same_answer("$1,000.00", "1000") && problem.same_answer("ten", " ten"));
        assert!(!problem.same_answer("10", "11") && !problem.same_answer("ten", "10"));
    }

    #[test]
    fn a_missing_gold_is_never_matched() {
        let problem = Gsm8kProblem::with_gold("How many?", None);
        assert_eq!(problem.grade("\\boxed{5}", Profile::D1).verdict, Outcome::Wrong);
        assert_eq!(problem.grade("\\boxed{5}", Profile::Strict).verdict, Outcome::Undecided);
        assert!(Gsm8kProblem::new("How many?", "no marker").is_none());
    }
}
