//! How d1's evaluation reads a GSM8K answer: as a binary floating-point number.

use crate::extract::{answer_blocks, lazy_boxes};

/// The text of the answer and the value d1 gives it.
///
/// The first `\boxed{..}` with a number in it: its whole content if Python's `float` takes it, else
/// its first number, so that `1,000` is 1. Without one, the first `<answer>` block likewise, but with
/// its last number.
pub(super) fn answer(completion: &str) -> Option<(String, f64)> {
    let boxed = lazy_boxes(completion).map(str::trim).find_map(|content| {
        let dots = content.bytes().all(|byte| byte == b'.');
        let value = python_float(content).or_else(|| numbers(content).next());
        value.filter(|_| !dots).map(|value| (content, value))
    });
    let found = boxed.or_else(|| {
        let content = answer_blocks(completion).next()?.1.trim();
        let value = python_float(content).or_else(|| numbers(content).last())?;
        Some((content, value))
    });
    found.map(|(content, value)| (content.to_owned(), value))
}

/// Python's `float(text)`: like Rust's, but blanks around it and single underscores between digits
/// are fine.
pub(super) fn python_float(text: &str) -> Option<f64> {
    let text = text.trim();
    let bytes = text.as_bytes();
    let digit = |i: usize| bytes.get(i).is_some_and(u8::is_ascii_digit);
    let misplaced = |(i, _): (usize, &str)| i == 0 || !digit(i - 1) || !digit(i + 1);
    if text.match_indices('_').any(misplaced) {
        return None;
    }
    text.replace('_', "").parse().ok()
}

/// Every `-?digits[.[digits]]`, left to right.
fn numbers(text: &str) -> impl Iterator<Item = f64> {
    let bytes = text.as_bytes();
    let digits_from = move |from: usize| {
        from + bytes[from..].iter().take_while(|byte| byte.is_ascii_digit()).count()
    };
    let mut at = 0;
    std::iter::from_fn(move || {
        let first = at + bytes.get(at..)?.iter().position(u8::is_ascii_digit)?;
        let start = if first > at && bytes[first - 1] == b'-' { first - 1 } else { first };
        let mut end = digits_from(first);
        if bytes.get(end) == Some(&b'.') {
            end = digits_from(end + 1);
        }
        at = end;
        // Digits with at most one point always parse.
        text[start..end].parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value(completion: &str) -> Option<f64> {
        answer(completion).map(|(_, value)| value)
    }

    #[test]
    fn the_first_box_with_a_number_counts() {
        assert_eq!(value("\\boxed{} \\boxed{...} \\boxed{7} \\boxed{8}"), Some(7.0));
        assert_eq!(value("\\boxed{120\\text{ minutes}}"), Some(120.0));
        assert_eq!(value("\\boxed{1,000}"), Some(1.0));
        assert_eq!(value("\\boxed{\\$-3.50}"), Some(-3.5));
        assert_eq!(value("\\boxed{\\frac{1}{2}}"), Some(1.0));
        assert_eq!(value("\\boxed{none} <answer>3 or 4</answer>"), Some(4.0));
        assert_eq!(value("<answer></answer> 5"), None);
    }

    #[test]
    fn python_floats() {
        for (text, expected) in [(" 1_000 ", 1000.0), ("1e3", 1000.0), ("+.5", 0.5), ("5.", 5.0)] {
            assert_eq!(python_float(text), Some(expected));
        }
        assert_eq!(python_float("-inf"), Some(f64::NEG_INFINITY));
        for text in ["", ".", "_1", "1__0", "1_", "1,000", "1_.5"] {
            assert_eq!(python_float(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,40}", close in r"(\\boxed\{|\}|<answer>|</answer>|[0-9._é-]){0,20}") {
            let _ = (answer(&text), answer(&close));
        }
    }
}
