use dashu::rational::RBig;

use super::{Expression, Operation};
use crate::TaskError;

/// Most numbers that [`solve`] takes: the search grows as `n!(n-1)! 3^(n-1)`.
pub const SOLVER_LIMIT: usize = 6;

/// An expression that uses each of `numbers` once and has exactly the value `target`, or `None` if
/// there is none. Exhaustive: combines any two values, in every way, until one is left.
///
/// # Errors
/// [`TaskError::TooManyNumbers`] above [`SOLVER_LIMIT`] numbers.
pub fn solve(numbers: &[u64], target: u64) -> Result<Option<Expression>, TaskError> {
    if numbers.len() > SOLVER_LIMIT {
        return Err(TaskError::TooManyNumbers { limit: SOLVER_LIMIT, found: numbers.len() });
    }
    let pool: Vec<RBig> = numbers.iter().map(|&number| number.into()).collect();
    let mut plan = Vec::new();
    if !search(&pool, &target.into(), &mut plan) {
        return Ok(None);
    }
    Ok(build(numbers, &plan))
}

/// Take values `i` and `j` out of the pool, `i` possibly after `j`, and append `i operation j`.
type Step = (usize, usize, Operation);

fn search(pool: &[RBig], target: &RBig, plan: &mut Vec<Step>) -> bool {
    if let [value] = pool {
        return value == target;
    }
    for i in 0..pool.len() {
        for j in 0..pool.len() {
            for operation in Operation::ALL {
                let commutes = matches!(operation, Operation::Add | Operation::Multiply);
                if i == j || (commutes && i > j) {
                    continue;
                }
                let Some(value) = operation.apply(&pool[i], &pool[j]) else {
                    continue;
                };
                let mut next = without(pool, i, j);
                next.push(value);
                plan.push((i, j, operation));
                if search(&next, target, plan) {
                    return true;
                }
                plan.pop();
            }
        }
    }
    false
}

fn build(numbers: &[u64], plan: &[Step]) -> Option<Expression> {
    let mut pool: Vec<Expression> =
        numbers.iter().map(|&number| Expression::integer(number)).collect();
    for &(i, j, operation) in plan {
        let combined = Expression::binary(operation, pool[i].clone(), pool[j].clone());
        pool = without(&pool, i, j);
        pool.push(combined);
    }
    pool.pop()
}

fn without<T: Clone>(pool: &[T], i: usize, j: usize) -> Vec<T> {
    let kept = pool.iter().enumerate().filter(|(index, _)| *index != i && *index != j);
    kept.map(|(_, value)| value.clone()).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use crate::countdown::CountdownProblem;
    use crate::{Outcome, Problem, Profile};

    #[test]
    fn solutions_pass_the_strict_grader() {
        // The second needs a fraction on the way: 8 / (3 - 8/3).
        for (numbers, target) in [(vec![30, 100, 93], 23), (vec![3, 3, 8, 8], 24), (vec![7], 7)] {
            let solution = solve(&numbers, target).unwrap().unwrap();
            let problem = CountdownProblem::new(numbers, target).unwrap();
            let completion = format!("<answer>{solution}</answer>");
            assert_eq!(problem.grade(&completion, Profile::Strict).verdict, Outcome::Correct);
        }
    }

    #[test]
    fn the_impossible_has_no_solution() {
        assert_eq!(solve(&[1, 1, 1], 7).unwrap(), None);
        assert_eq!(solve(&[], 0).unwrap(), None);
        assert!(matches!(solve(&[1; 7], 7), Err(TaskError::TooManyNumbers { found: 7, .. })));
    }
}
