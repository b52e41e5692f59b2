//! How d1's evaluation finds and values a Countdown answer.

use dashu::rational::RBig;

use super::expression::near;
use super::{Expression, Syntax};
use crate::extract::{HendrycksBox, answer_blocks, hendrycks_box};

/// What d1 takes as the equation.
pub(super) struct Equation {
    /// The text.
    pub(super) text: String,
    /// Whether it was marked as an answer, rather than being the whole completion.
    pub(super) marked: bool,
}

/// The last box. Without any box, the *whole text*: `<answer>` tags are looked at only where the braces
/// of the last box never close. Then LaTeX signs become operators, and of the first
/// `expression = value` only the expression is kept, which is how an answer without a box can pass.
pub(super) fn equation(completion: &str) -> Equation {
    let block = || answer_blocks(completion).next().map(|(_, content)| content.trim());
    let found = match hendrycks_box(completion) {
        HendrycksBox::Found(content) => Some(content),
        HendrycksBox::Absent => None,
        HendrycksBox::Unclosed => block(),
    };
    let text = found.unwrap_or(completion);
    let text = text.replace("\\div", "/").replace("\\times", "*").replace("\\cdot", "*");
    let left = left_of_equals(&text).map(str::to_owned);
    let marked = found.is_some() || left.is_some();
    Equation { text: left.unwrap_or(text), marked }
}

/// In the first `expression=value`, where the expression is digits, operators, parentheses and spaces
/// and the value starts with a digit, a point or a space: the trimmed expression.
fn left_of_equals(text: &str) -> Option<&str> {
    let allowed = |c: char| c.is_ascii_digit() || "+-*/() ".contains(c);
    text.match_indices('=').find_map(|(at, _)| {
        let before = &text[..at];
        let start = before.trim_end_matches(allowed).len();
        let value = text[at + 1..].starts_with(|c: char| c.is_ascii_digit() || ". ".contains(c));
        (start < at && value).then(|| before[start..].trim())
    })
}

/// Whether the runs of digits in `text` are exactly `numbers`, in any order.
pub(super) fn uses_exactly(text: &str, numbers: &[u64]) -> bool {
    let runs = text.split(|c: char| !c.is_ascii_digit()).filter(|run| !run.is_empty());
    // A run too long for 64 bits is none of the numbers.
    let Ok(mut found) = runs.map(str::parse).collect::<Result<Vec<u64>, _>>() else {
        return false;
    };
    let mut numbers = numbers.to_vec();
    found.sort_unstable();
    numbers.sort_unstable();
    found == numbers
}

/// Whether Python would find `text` within 1e-5 of `target`.
pub(super) fn reaches(text: &str, target: u64) -> bool {
    value(text).is_some_and(|value| near(&value, target))
}

fn value(text: &str) -> Option<RBig> {
    Expression::parse(text, Syntax::Python).ok()?.evaluate().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_the_equation_is_found() {
        let read = |text: &str| equation(text).text;
        assert_eq!(read("\\boxed{3 \\times (4 \\div 2)}"), "3 * (4 / 2)");
        assert_eq!(read("<answer>\\boxed{1+2 = 3}</answer>"), "1+2");
        assert_eq!(read("<answer> 1+2 </answer> \\boxed{"), "1+2");
        assert_eq!(read("so (1+2) - 3=0 and 4=4"), "(1+2) - 3");
        assert_eq!(read("x=3, no sum"), "x=3, no sum");
        assert!(!equation("<answer>5</answer>").marked && equation("<answer>5=5</answer>").marked);
    }

    #[test]
    fn numbers_are_compared_as_multisets() {
        assert!(uses_exactly("(3+4)*3", &[4, 3, 3]));
        assert!(!uses_exactly("(3+4)", &[4, 3, 3]) && !uses_exactly("", &[1]));
        assert!(!uses_exactly(&"9".repeat(400), &[9]));
    }
}
