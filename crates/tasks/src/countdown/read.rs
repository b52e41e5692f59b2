use std::path::Path;

use dashu::rational::RBig;
use serde_json::Value;

use super::{CountdownProblem, Expression, ExpressionError};
use crate::TaskError;
use crate::jsonl::{describe, read_rows, text};

impl CountdownProblem {
    /// Reads a JSONL data set. Three layouts of a row are known:
    /// - ours: `{"numbers": [30, 100, 93], "target": 23}`;
    /// - d1's: `{"input": "30,100,93", "output": "23"}`;
    /// - Dream's: `{"input": "15,44,79,50", "output": "44-15=29,79-29=50"}`, where the last input is
    ///   the target and the output is a solution, which is checked.
    ///
    /// # Errors
    /// The file cannot be read, or a row fits none of these.
    pub fn read(path: &Path) -> Result<Vec<Self>, TaskError> {
        read_rows(path, from_row)
    }
}

pub(crate) fn from_row(row: &Value) -> Result<CountdownProblem, TaskError> {
    if let Some(list) = row.get("numbers") {
        let target = row.get("target").unwrap_or(&Value::Null);
        return CountdownProblem::new(numbers(list)?, number("target", target)?);
    }
    let (input, output) = (text(row, "input")?, text(row, "output")?);
    let mut numbers = split(input)?;
    if !output.contains('=') {
        let target =
            output.trim().parse().map_err(|_| TaskError::field("output", WHOLE, output))?;
        return CountdownProblem::new(numbers, target);
    }
    let target =
        numbers.pop().ok_or_else(|| TaskError::field("input", "numbers and target", input))?;
    let value = Expression::from_steps(&numbers, output)?.evaluate()?;
    if value != RBig::from(target) {
        return Err(ExpressionError::WrongStep { step: output.split(',').count() }.into());
    }
    CountdownProblem::new(numbers, target)
}

const WHOLE: &str = "a whole number, not negative";

/// Comma-separated whole numbers.
pub(crate) fn split(input: &str) -> Result<Vec<u64>, TaskError> {
    let number =
        |part: &str| part.trim().parse().map_err(|_| TaskError::field("input", WHOLE, part));
    input.split(',').map(number).collect()
}

/// A JSON list of whole numbers.
pub(crate) fn numbers(list: &Value) -> Result<Vec<u64>, TaskError> {
    let items = list
        .as_array()
        .ok_or_else(|| TaskError::field("numbers", "a list of whole numbers", describe(list)))?;
    items.iter().map(|item| number("numbers", item)).collect()
}

/// A JSON whole number; `23.0` and `"23"` count.
pub(crate) fn number(key: &str, value: &Value) -> Result<u64, TaskError> {
    let whole = |x: &f64| (0.0..1e15).contains(x) && x.fract() == 0.0;
    value
        .as_u64()
        .or_else(|| value.as_f64().filter(whole).map(|x| x as u64))
        .or_else(|| value.as_str()?.trim().parse().ok())
        .ok_or_else(|| TaskError::field(key, WHOLE, describe(value)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Problem;

    #[test]
    fn all_three_layouts() {
        let problem = CountdownProblem::new(vec![15, 44, 79], 50).unwrap();
        for row in [
            json!({"input": "15,44,79", "output": "50"}),
            json!({"input": "15,44,79,50", "output": "44-15=29,79-29=50"}),
            problem.record(),
        ] {
            assert_eq!(from_row(&row).unwrap(), problem);
        }
    }

    #[test]
    fn malformed_rows_are_errors() {
        for row in [
            json!({"input": "15,x", "output": "50"}),
            json!({"input": "15,44", "output": "fifty"}),
            json!({"input": "15,44,79,51", "output": "44-15=29,79-29=50"}),
            json!({"numbers": [1.5], "target": 3}),
            json!({"numbers": [], "target": 3}),
            json!({"target": 3}),
        ] {
            assert!(from_row(&row).is_err(), "{row}");
        }
    }
}
