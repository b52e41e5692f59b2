use std::path::Path;

use serde_json::Value;

use super::MathProblem;
use crate::TaskError;
use crate::extract::{HendrycksBox, hendrycks_box};
use crate::generations::plain_text;
use crate::jsonl::{describe, read_rows, text};

impl MathProblem {
    /// Reads a JSONL data set: `problem`, and the gold under `answer` (MATH-500), under
    /// `extracted_groundtruth` (AIME, AMC; may be a number) or in the box of `solution` (MATH).
    /// `level`, `subject` and a worked `solution` are kept where there are any; a `solution` that is
    /// a number (AMC) is the gold once more and not kept.
    ///
    /// # Errors
    /// The file cannot be read, or a row lacks the problem or a gold.
    pub fn read(path: &Path) -> Result<Vec<Self>, TaskError> {
        read_rows(path, from_row)
    }
}

pub(crate) fn from_row(row: &Value) -> Result<MathProblem, TaskError> {
    let given = row.get("answer").or_else(|| row.get("extracted_groundtruth"));
    let gold = match given {
        Some(value) => plain_text(value)
            .ok_or_else(|| TaskError::field("answer", "a string or a number", describe(value)))?,
        None => {
            let solution = text(row, "solution")?;
            match hendrycks_box(solution) {
                HendrycksBox::Found(gold) => gold.to_owned(),
                _ => return Err(TaskError::field("solution", "a boxed answer", solution)),
            }
        }
    };
    let mut problem = MathProblem::new(text(row, "problem")?, gold);
    let optional = |key: &str| row.get(key).map(|_| text(row, key).map(str::to_owned)).transpose();
    problem.solution = row.get("solution").and_then(Value::as_str).map(str::to_owned);
    problem.level = optional("level")?;
    problem.subject = optional("subject")?;
    Ok(problem)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Problem;

    #[test]
    fn golds_are_found_where_the_data_sets_keep_them() {
        for (row, gold) in [
            (json!({"problem": "?", "answer": "5", "level": "Level 2"}), "5"),
            (json!({"problem": "?", "solution": 27.0, "extracted_groundtruth": 27.0}), "27"),
            (json!({"problem": "?", "solution": "..", "extracted_groundtruth": "025"}), "025"),
            (json!({"problem": "?", "solution": "so $\\boxed{\\frac{1}{2}}$."}), "\\frac{1}{2}"),
        ] {
            let problem = from_row(&row).unwrap();
            assert_eq!(problem.gold(), gold);
            assert_eq!(from_row(&problem.record()).unwrap(), problem);
        }
        for row in [json!({"answer": "5"}), json!({"problem": "?", "solution": "none"})] {
            assert!(from_row(&row).is_err(), "{row}");
        }
    }
}
