//! What models wrote earlier, to be graded again without a model.

use std::path::Path;

use serde_json::Value;

use crate::countdown::{self, CountdownProblem};
use crate::gsm8k::Gsm8kProblem;
use crate::jsonl::{at_line, describe, read_text, text};
use crate::math::MathProblem;
use crate::sudoku::{self, SudokuProblem};
use crate::{Problem, TaskError, TaskName};

/// One question and what was generated for it.
#[derive(Clone, Debug, PartialEq)]
pub struct Generation {
    /// The question, without system prompt or chat template.
    pub question: String,
    /// What the model wrote: one completion, or several samples.
    pub completions: Vec<String>,
    /// The gold answer in whatever form the task stores it (null where it is unknown).
    pub ground_truth: Value,
}

impl Generation {
    /// The problem this generation answers; see [`problem_from_generation`].
    ///
    /// # Errors
    /// As [`problem_from_generation`].
    pub fn problem(&self, task: TaskName) -> Result<Box<dyn Problem>, TaskError> {
        problem_from_generation(task, &self.question, &self.ground_truth)
    }
}

/// Reads a file in d1's layout, `{"generations": [{"question", "generations", "ground_truth"}, ..]}`
/// with any other keys beside it, or JSONL with those three keys a line. The inner `generations` is a
/// string, or a list of strings where several samples were drawn.
///
/// Files that `eval` writes are read too: JSONL with a first line `{"schema": "afterthought.eval/1", ..}`
/// and `completion` in place of `generations`, or `graded` where that is not what was graded.
///
/// # Errors
/// The file cannot be read or is neither; or an item, named by its position (or line), is malformed.
pub fn read_generations(path: &Path) -> Result<Vec<Generation>, TaskError> {
    let content = read_text(path)?;
    if let Ok(document) = serde_json::from_str::<Value>(&content)
        && let Some(items) = document.get("generations").and_then(Value::as_array)
        && document.get("question").is_none()
    {
        let item_error = |item: usize, error| TaskError::Item {
            path: path.to_owned(),
            item,
            source: Box::new(error),
        };
        let read = |(i, item)| generation(item).map_err(|error| item_error(i, error));
        return items.iter().enumerate().map(read).collect();
    }
    let lines = content.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let read = |(index, line): (usize, &str)| {
        serde_json::from_str(line)
            .map_err(TaskError::from)
            .and_then(|item: Value| match index {
                0 if item.get("schema").is_some() => evaluation(&item).map(|()| None),
                _ => generation(&item).map(Some),
            })
            .map_err(|error| at_line(path, index as u64 + 1, error))
    };
    lines.filter_map(|line| read(line).transpose()).collect()
}

/// The layout of the files that `eval` writes.
pub const EVALUATION_SCHEMA: &str = "afterthought.eval/1";

fn evaluation(header: &Value) -> Result<(), TaskError> {
    match text(header, "schema")? {
        EVALUATION_SCHEMA => Ok(()),
        other => Err(TaskError::field("schema", EVALUATION_SCHEMA, other)),
    }
}

fn generation(item: &Value) -> Result<Generation, TaskError> {
    let keys = ["generations", "graded", "completion"];
    let written = keys.iter().find_map(|key| item.get(key)).unwrap_or(&Value::Null);
    let completions = match written {
        Value::String(one) => Some(vec![one.clone()]),
        Value::Array(several) => {
            several.iter().map(|sample| sample.as_str().map(str::to_owned)).collect()
        }
        _ => None,
    };
    Ok(Generation {
        question: text(item, "question")?.to_owned(),
        completions: completions.ok_or_else(|| {
            TaskError::field("generations", "a string or a list of strings", describe(written))
        })?,
        ground_truth: item.get("ground_truth").cloned().unwrap_or(Value::Null),
    })
}

/// Rebuilds a problem from a question and a gold answer.
///
/// - Sudoku: the gold is the solution; the puzzle is the question's first sixteen characters, or
///   follows `Sudoku puzzle: ` in it.
/// - Countdown: the gold is `[[numbers], target]`; or it is the target (or null) and the question says
///   `Numbers: [..]` (and `Target: ..`).
/// - GSM8K: the gold is a number, a string, or null.
/// - MATH: the gold is a string or a number.
///
/// # Errors
/// [`TaskError::Field`] or [`TaskError::NotASolution`] where that is not so.
pub fn problem_from_generation(
    task: TaskName,
    question: &str,
    ground_truth: &Value,
) -> Result<Box<dyn Problem>, TaskError> {
    let wrong = |expected| TaskError::field("ground_truth", expected, describe(ground_truth));
    Ok(match task {
        TaskName::Sudoku => {
            let solution = ground_truth.as_str().ok_or_else(|| wrong("sixteen digits"))?;
            let givens = sudoku::cells("question", puzzle_in(question)?)?;
            Box::new(SudokuProblem::new(givens, sudoku::cells("ground_truth", solution)?)?)
        }
        TaskName::Countdown => Box::new(countdown_problem(question, ground_truth)?),
        TaskName::Gsm8k => {
            let gold = match ground_truth {
                Value::Null => None,
                other => {
                    Some(plain_text(other).ok_or_else(|| wrong("a number, a string or null"))?)
                }
            };
            Box::new(Gsm8kProblem::with_gold(question, gold))
        }
        TaskName::Math => {
            let gold = plain_text(ground_truth).ok_or_else(|| wrong("a string or a number"))?;
            Box::new(MathProblem::new(question, gold))
        }
    })
}

fn puzzle_in(question: &str) -> Result<&str, TaskError> {
    const MARKER: &str = "Sudoku puzzle: ";
    let digits = |text: &str| text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_digit());
    let after_marker = question.split_once(MARKER).map_or("", |(_, after)| after);
    [question, after_marker]
        .into_iter()
        .filter_map(|text| text.get(..16))
        .find(|text| digits(text))
        .ok_or_else(|| TaskError::field("question", "a puzzle of sixteen digits", question))
}

fn countdown_problem(question: &str, ground_truth: &Value) -> Result<CountdownProblem, TaskError> {
    if let Some([numbers, target]) = ground_truth.as_array().map(Vec::as_slice) {
        let target = countdown::number("ground_truth", target)?;
        return CountdownProblem::new(countdown::numbers(numbers)?, target);
    }
    let missing = |expected| TaskError::field("question", expected, question);
    let list = question
        .split_once("Numbers: [")
        .and_then(|(_, after)| after.split_once(']'))
        .ok_or_else(|| missing("`Numbers: [..]`"))?
        .0;
    let target = match ground_truth {
        Value::Null => {
            let after = question.split_once("Target: ").ok_or_else(|| missing("`Target: ..`"))?.1;
            let digits = after.split(|c: char| !c.is_ascii_digit()).next().unwrap_or("");
            digits.parse().map_err(|_| missing("`Target: ..`"))?
        }
        given => countdown::number("ground_truth", given)?,
    };
    CountdownProblem::new(countdown::split(list)?, target)
}

/// A string as it is, a number as people write it (`18.0` is 18).
pub(crate) fn plain_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(match number.as_f64() {
            Some(x) if x.fract() == 0.0 && x.abs() < 1e15 => format!("{}", x as i64),
            _ => number.to_string(),
        }),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use std::fs;

    use serde_json::json;

    use super::*;
    use crate::{Outcome, Profile};

    fn read(content: &str) -> Result<Vec<Generation>, TaskError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("generations.json");
        fs::write(&path, content).unwrap();
        read_generations(&path)
    }

    #[test]
    fn a_document_and_lines_hold_the_same() {
        let item = json!({"question": "1+1?", "generations": "\\boxed{2}", "ground_truth": 2.0});
        let document = json!({"metrics": {}, "generations": [item, item]}).to_string();
        let lines = format!("{item}\n{item}\n");
        assert_eq!(read(&document).unwrap(), read(&lines).unwrap());
        assert_eq!(read(&item.to_string()).unwrap().len(), 1);
        let samples = json!({"question": "1+1?", "generations": ["2", "3"], "ground_truth": 2});
        assert_eq!(read(&samples.to_string()).unwrap()[0].completions, ["2", "3"]);
    }

    #[test]
    fn files_of_an_evaluation_are_read_behind_their_header() {
        let header = json!({"schema": EVALUATION_SCHEMA, "request": {}});
        let item = |more: Value| {
            let mut item = json!({"question": "1+1?", "ground_truth": "2", "completion": "2"});
            item.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            item
        };
        let text = format!("{header}\n{}\n{}\n", item(json!({})), item(json!({"graded": "3"})));
        let read_all = read(&text).unwrap();
        assert_eq!([&read_all[0].completions, &read_all[1].completions], [&["2"], &["3"]]);
        let other = read(&text.replace("eval/1", "eval/9")).unwrap_err();
        assert!(matches!(other, TaskError::Row { line: 1, .. }), "{other}");
    }

    #[test]
    fn a_question_and_its_gold_give_the_problem_back() {
        let problems: [Box<dyn Problem>; 4] = [
            Box::new(Gsm8kProblem::with_gold("How many?", Some("1,000".into()))),
            Box::new(MathProblem::new("1/2?", "\\frac{1}{2}")),
            Box::new(CountdownProblem::new(vec![30, 100, 93], 23).unwrap()),
            problem_from_generation(
                TaskName::Sudoku,
                "3102200002100320",
                &json!("3142243142131324"),
            )
            .unwrap(),
        ];
        for problem in problems {
            let (question, gold) = problem.question_and_gold();
            let again = problem_from_generation(problem.task(), &question, &gold).unwrap();
            assert_eq!(again.record(), problem.record());
        }
    }

    #[test]
    fn malformed_items_are_named() {
        let good = json!({"question": "1+1?", "generations": "2", "ground_truth": 2.0});
        let bad = json!({"question": "1+1?", "generations": 2});
        let error = read(&json!({"generations": [good, bad]}).to_string()).unwrap_err();
        let TaskError::Item { item: 1, source, .. } = error else { panic!("{error}") };
        assert!(matches!(*source, TaskError::Field { ref key, .. } if key == "generations"));
        let error = read(&format!("{good}\n\n{bad}")).unwrap_err();
        assert!(matches!(error, TaskError::Row { line: 3, .. }), "{error}");
        assert!(matches!(read("{").unwrap_err(), TaskError::Row { line: 1, .. }));
    }

    #[test]
    fn every_task_is_rebuilt() {
        let sudoku = "Solve the following Sudoku puzzle: 3102200002100320\n";
        let numbers = "Numbers: [30, 100, 93]\nTarget: 23";
        for (task, question, gold, completion) in [
            (
                TaskName::Sudoku,
                sudoku,
                json!("3142243142131324"),
                "<answer>3142243142131324</answer>",
            ),
            (
                TaskName::Sudoku,
                "3102200002100320",
                json!("3142243142131324"),
                "<answer>3142243142131324</answer>",
            ),
            (TaskName::Countdown, "", json!([[30, 100, 93], 23]), "\\boxed{30+93-100}"),
            (TaskName::Countdown, numbers, json!("23"), "\\boxed{30+93-100}"),
            (TaskName::Countdown, numbers, json!(null), "\\boxed{30+93-100}"),
            (TaskName::Gsm8k, "?", json!(23.0), "\\boxed{23}"),
            (TaskName::Gsm8k, "?", json!("1,023"), "\\boxed{1023}"),
            (TaskName::Math, "?", json!("\\frac{1}{2}"), "\\boxed{\\dfrac12}"),
            (TaskName::Math, "?", json!(27.0), "\\boxed{27}"),
        ] {
            let problem = problem_from_generation(task, question, &gold).unwrap();
            for profile in Profile::ALL {
                assert_eq!(
                    problem.grade(completion, profile).verdict,
                    Outcome::Correct,
                    "{problem:?}"
                );
            }
        }
    }

    #[test]
    fn golds_of_the_wrong_kind_are_errors() {
        for (task, question, gold) in [
            (TaskName::Sudoku, "no puzzle", json!("3142243142131324")),
            (TaskName::Sudoku, "3102200002100320", json!("1111111111111111")),
            (TaskName::Countdown, "Numbers: [1, x]", json!(3)),
            (TaskName::Countdown, "Numbers: [1, 2]", json!(null)),
            (TaskName::Gsm8k, "?", json!([1])),
            (TaskName::Math, "?", json!(null)),
        ] {
            assert!(problem_from_generation(task, question, &gold).is_err(), "{task} {question}");
        }
    }
}
