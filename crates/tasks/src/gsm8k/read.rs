use std::path::Path;

use serde_json::Value;

use super::Gsm8kProblem;
use crate::TaskError;
use crate::jsonl::{read_rows, text};

impl Gsm8kProblem {
    /// Reads a JSONL data set with the columns `question` and `answer` (a worked solution that ends
    /// in `#### gold`).
    ///
    /// # Errors
    /// The file cannot be read, or a row lacks a column or the `####` marker.
    pub fn read(path: &Path) -> Result<Vec<Self>, TaskError> {
        read_rows(path, from_row)
    }
}

pub(crate) fn from_row(row: &Value) -> Result<Gsm8kProblem, TaskError> {
    let (question, worked) = (text(row, "question")?, text(row, "answer")?);
    Gsm8kProblem::new(question, worked)
        .ok_or_else(|| TaskError::field("answer", "a solution that ends in `#### gold`", worked))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Problem;

    #[test]
    fn rows_and_records() {
        let row = json!({"question": "How many?", "answer": "2+2=<<2+2=4>>4\n#### 4"});
        let problem = from_row(&row).unwrap();
        assert_eq!(problem.gold(), Some("4"));
        assert_eq!(from_row(&problem.record()).unwrap(), problem);
        let bare = Gsm8kProblem::with_gold("How many?", Some("4".into()));
        assert_eq!(from_row(&bare.record()).unwrap(), bare);
        let error = from_row(&json!({"question": "?", "answer": "4"})).unwrap_err();
        assert!(matches!(error, TaskError::Field { ref key, .. } if key == "answer"), "{error}");
    }
}
