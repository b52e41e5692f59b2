use dashu::rational::RBig;

use super::{Expression, ExpressionError, Operation};

impl Expression {
    /// Reads a solution written as steps, `44-15=29,79-29=50`: each takes two of the values left and
    /// puts its result back.
    ///
    /// # Errors
    /// [`ExpressionError::WrongStep`] for a step that is malformed, uses a value that is not left or
    /// states a wrong result, or if values are left over.
    pub fn from_steps(numbers: &[u64], steps: &str) -> Result<Self, ExpressionError> {
        let mut pool: Vec<(RBig, Self)> =
            numbers.iter().map(|&number| (number.into(), Self::integer(number))).collect();
        let mut last = 0;
        for (index, step) in steps.split(',').enumerate() {
            last = index + 1;
            let combined =
                apply(step, &mut pool).ok_or(ExpressionError::WrongStep { step: last })?;
            pool.push(combined);
        }
        match pool.pop() {
            Some((_, expression)) if pool.is_empty() => Ok(expression),
            _ => Err(ExpressionError::WrongStep { step: last }),
        }
    }
}

fn apply(step: &str, pool: &mut Vec<(RBig, Expression)>) -> Option<(RBig, Expression)> {
    let (operands, result) = step.split_once('=')?;
    // From the second byte on, so that a sign is not taken for the operation.
    let at = 1 + operands.get(1..)?.find(['+', '-', '*', '/'])?;
    let operation = match &operands[at..=at] {
        "+" => Operation::Add,
        "-" => Operation::Subtract,
        "*" => Operation::Multiply,
        _ => Operation::Divide,
    };
    let (a, left) = take(pool, &operands[..at])?;
    let (b, right) = take(pool, &operands[at + 1..])?;
    let value = operation.apply(&a, &b)?;
    (value == number(result)?).then(|| (value, Expression::binary(operation, left, right)))
}

fn take(pool: &mut Vec<(RBig, Expression)>, text: &str) -> Option<(RBig, Expression)> {
    let wanted = number(text)?;
    let at = pool.iter().position(|(value, _)| *value == wanted)?;
    Some(pool.swap_remove(at))
}

fn number(text: &str) -> Option<RBig> {
    text.trim().parse::<i64>().ok().map(RBig::from)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn steps_become_one_expression() {
        let expression = Expression::from_steps(&[15, 44, 79], "44-15=29,79-29=50").unwrap();
        assert_eq!(expression.to_string(), "79-(44-15)");
    }

    #[test]
    fn wrong_steps_are_named() {
        for (steps, step) in [
            ("44-15=28,79-28=51", 1),
            ("44-15=29,79-30=49", 2),
            ("44-15=29", 1),
            ("44-15=29,79-29=50,", 3),
            ("", 1),
            ("é=1", 1),
        ] {
            let error = Expression::from_steps(&[15, 44, 79], steps).unwrap_err();
            assert_eq!(error, ExpressionError::WrongStep { step }, "{steps}");
        }
    }
}
