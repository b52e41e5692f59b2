use afterthought_tasks::generations::problem_from_generation;
use afterthought_tasks::{
    Outcome as Verdict, Problem, Profile, TaskError, TaskName, problem_from_row,
};
use serde_json::Value;

use crate::config::{Checks, RewardConfig};
use crate::{Completion, Error, Outcome, Reward};

/// How a completion is graded and what that is worth.
#[derive(Debug)]
pub(crate) struct AccuracyRule {
    task: TaskName,
    profile: Profile,
    gold: Gold,
    correct: f64,
    wrong: f64,
}

/// Where the problem is.
#[derive(Debug)]
enum Gold {
    /// The gold answer is in this column, the question is the prompt.
    Column(String),
    /// The row is one of the task's own data sets.
    Row,
}

impl AccuracyRule {
    pub(crate) fn read(config: &RewardConfig, checks: &mut Checks) -> Option<Self> {
        let correct = checks.finite("correct", config.correct, 1.0);
        let wrong = checks.finite("wrong", config.wrong, 0.0);
        if correct <= wrong {
            checks.add("correct", format!("is {correct}: expected more than `wrong`, {wrong}"));
        }
        let Some(task) = config.task else {
            let tasks = TaskName::ALL.map(|task| task.to_string()).join(", ");
            checks.add("task", format!("is missing: kind = \"accuracy\" needs one of {tasks}"));
            return None;
        };
        let gold = match (&config.answer_column, task) {
            (Some(column), _) => Gold::Column(column.clone()),
            (None, TaskName::Gsm8k | TaskName::Math) => Gold::Column("answer".to_owned()),
            (None, TaskName::Sudoku | TaskName::Countdown) => Gold::Row,
        };
        Some(Self {
            task,
            profile: config.profile.unwrap_or(Profile::Strict),
            gold,
            correct,
            wrong,
        })
    }

    fn problem(&self, completion: &Completion<'_>) -> Result<Box<dyn Problem>, String> {
        let problem = match &self.gold {
            Gold::Row => problem_from_row(self.task, &Value::Object(completion.columns.clone())),
            Gold::Column(column) => {
                let gold = completion
                    .columns
                    .get(column)
                    .ok_or_else(|| self.missing(column, completion))?;
                problem_from_generation(self.task, completion.prompt, &self.short(gold))
            }
        };
        problem.map_err(|error: TaskError| {
            format!("the row is no problem of the task {}: {error}", self.task)
        })
    }

    fn missing(&self, column: &str, completion: &Completion<'_>) -> String {
        let there = completion.columns.keys().map(String::as_str).collect::<Vec<_>>();
        match there.is_empty() {
            true => format!("the row has no column {column:?}, nor any but the prompt"),
            false => format!("the row has no column {column:?}; it has {}", there.join(", ")),
        }
    }

    /// GSM8K keeps a worked solution in its answer column; the gold is what follows `####`.
    fn short(&self, gold: &Value) -> Value {
        match (self.task, gold) {
            (TaskName::Gsm8k, Value::String(text)) => {
                let gold = text.split("####").nth(1).unwrap_or(text);
                Value::String(gold.trim().to_owned())
            }
            _ => gold.clone(),
        }
    }

    fn score(&self, completion: &Completion<'_>) -> Outcome {
        let problem = match self.problem(completion) {
            Ok(problem) => problem,
            Err(reason) => return Outcome::Failed(reason),
        };
        match problem.grade(completion.text, self.profile).verdict {
            Verdict::Correct => Outcome::Value(self.correct),
            Verdict::Wrong | Verdict::NoAnswer => Outcome::Value(self.wrong),
            Verdict::Undecided => Outcome::Undecided(self.wrong),
        }
    }
}

/// A task's grader as a reward.
pub(crate) struct Accuracy {
    name: String,
    rule: AccuracyRule,
}

impl Accuracy {
    pub(crate) fn new(name: String, rule: AccuracyRule) -> Self {
        Self { name, rule }
    }
}

impl Reward for Accuracy {
    fn name(&self) -> &str {
        &self.name
    }

    fn score(&mut self, batch: &[Completion<'_>]) -> Result<Vec<Outcome>, Error> {
        Ok(batch.iter().map(|completion| self.rule.score(completion)).collect())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::RewardKind;

    fn outcome(config: &RewardConfig, prompt: &str, text: &str, columns: &Value) -> Outcome {
        let mut checks = Checks::default();
        let rule = AccuracyRule::read(config, &mut checks).unwrap();
        assert!(checks.problems.is_empty(), "{:?}", checks.problems);
        rule.score(&Completion { id: 0, prompt, text, columns: columns.as_object().unwrap() })
    }

    fn config(task: TaskName) -> RewardConfig {
        RewardConfig { task: Some(task), ..RewardConfig::new(RewardKind::Accuracy) }
    }

    #[test]
    fn golds_stand_in_a_column() {
        let config = RewardConfig { wrong: Some(-1.0), ..config(TaskName::Gsm8k) };
        for (gold, text, expected) in [
            (json!("2*9=18\n#### 1,018"), "<answer>1018</answer>", Outcome::Value(1.0)),
            (json!("1018"), "<answer>1018</answer>", Outcome::Value(1.0)),
            (json!(1018), "<answer>1019</answer>", Outcome::Value(-1.0)),
            (json!(1018), "no answer", Outcome::Value(-1.0)),
            (json!(1018), "<answer>1018 or 1019</answer>", Outcome::Undecided(-1.0)),
        ] {
            let columns = json!({"answer": gold});
            assert_eq!(outcome(&config, "?", text, &columns), expected, "{gold} {text}");
        }
        let named = RewardConfig {
            answer_column: Some("gold".into()),
            correct: Some(2.0),
            ..self::config(TaskName::Math)
        };
        let columns = json!({"gold": "\\frac12", "answer": "3"});
        assert_eq!(outcome(&named, "?", "\\boxed{0.5}", &columns), Outcome::Value(2.0));
    }

    #[test]
    fn sudoku_and_countdown_read_their_own_columns() {
        let columns = json!({"puzzle": "3102200002100320", "solution": "3142243142131324"});
        let text = "<answer>3142243142131324</answer>";
        assert_eq!(outcome(&config(TaskName::Sudoku), "?", text, &columns), Outcome::Value(1.0));
        let columns = json!({"numbers": [2, 3, 4], "target": 5});
        let text = "<answer>2*4-3</answer>";
        assert_eq!(outcome(&config(TaskName::Countdown), "?", text, &columns), Outcome::Value(1.0));
        // With a column for the answer, the prompt is the question.
        let named =
            RewardConfig { answer_column: Some("target".into()), ..config(TaskName::Countdown) };
        let columns = json!({"target": 5});
        let found = outcome(&named, "Numbers: [2, 3, 4]", text, &columns);
        assert_eq!(found, Outcome::Value(1.0));
    }

    #[test]
    fn a_row_that_is_no_problem_is_a_failure_and_not_a_wrong_answer() {
        for (task, columns, why) in [
            (TaskName::Gsm8k, json!({"gold": 1}), "no column \"answer\"; it has gold"),
            (
                TaskName::Math,
                json!({"answer": [1]}),
                "`ground_truth`: expected a string or a number",
            ),
            (TaskName::Countdown, json!({"answer": 1}), "`input`: expected a string"),
        ] {
            let found = outcome(&config(task), "?", "<answer>1</answer>", &columns);
            let Outcome::Failed(reason) = found else { panic!("{found:?}") };
            assert!(reason.contains(why), "{reason}");
        }
    }
}
