//! d1's five GSM8K rewards, which are added up. Quirks included: the two format patterns never look
//! beyond a line, and text after the answer is charged for twice.

/// For an answer string equal to the gold string.
const CORRECT: f64 = 2.0;
/// For an answer of digits only.
const INTEGER: f64 = 0.5;
/// For the tags in order, reasoning and answer on one line each.
const SOFT_FORMAT: f64 = 0.5;
/// For each tag on a line of its own and nothing else.
const STRICT_FORMAT: f64 = 0.5;
/// For each of the four tags, with its line break, that occurs exactly once.
const TAG: f64 = 0.125;
/// Charged for each character after the answer.
const TRAILING_CHARACTER: f64 = 0.001;

/// The sum of the five rewards, at most 4.
pub(super) fn total(completion: &str, gold: Option<&str>) -> f64 {
    let answer = tag_content(completion);
    let correct = if gold == Some(answer) { CORRECT } else { 0.0 };
    let digits = !answer.is_empty() && answer.bytes().all(|byte| byte.is_ascii_digit());
    let integer = if digits { INTEGER } else { 0.0 };
    let soft = if soft_format(completion) { SOFT_FORMAT } else { 0.0 };
    let strict = if strict_format(completion) { STRICT_FORMAT } else { 0.0 };
    correct + integer + soft + strict + tags(completion)
}

/// After the last `<answer>`, before the next `</answer>`; the whole text where they are missing.
fn tag_content(text: &str) -> &str {
    let after = text.rsplit_once("<answer>").map_or(text, |(_, after)| after);
    after.split_once("</answer>").map_or(after, |(content, _)| content).trim()
}

fn soft_format(text: &str) -> bool {
    let Some(after) = text.strip_prefix("<reasoning>") else {
        return false;
    };
    let line = after.split('\n').next().unwrap_or(after);
    line.match_indices("</reasoning>").any(|(at, tag)| {
        let answer = after[at + tag.len()..].trim_start().strip_prefix("<answer>");
        answer
            .and_then(|answer| answer.split('\n').next())
            .is_some_and(|line| line.contains("</answer>"))
    })
}

fn strict_format(text: &str) -> bool {
    let inner = || {
        let text = text.strip_prefix("<reasoning>\n")?;
        let (reasoning, rest) = text.split_once("\n</reasoning>\n<answer>\n")?;
        // A Python `$` also matches before a last line break.
        let rest =
            rest.strip_suffix("\n</answer>\n").or_else(|| rest.strip_suffix("\n</answer>\n\n"))?;
        Some(!reasoning.contains('\n') && !rest.contains('\n'))
    };
    inner().unwrap_or(false)
}

fn tags(text: &str) -> f64 {
    let once = |tag: &str| text.matches(tag).count() == 1;
    // The whole text where the marker is missing.
    let after = |tag: &str| text.rsplit_once(tag).map_or(text, |(_, after)| after).chars().count();
    let mut sum = 0.0;
    for tag in ["<reasoning>\n", "\n</reasoning>\n"] {
        if once(tag) {
            sum += TAG;
        }
    }
    if once("\n<answer>\n") {
        sum += TAG - TRAILING_CHARACTER * after("\n</answer>\n") as f64;
    }
    if once("\n</answer>") {
        sum += TAG - TRAILING_CHARACTER * (after("\n</answer>") as f64 - 1.0);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERFECT: &str = "<reasoning>\n9*2\n</reasoning>\n<answer>\n18\n</answer>\n";

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-12
    }

    #[test]
    fn a_completion_cannot_earn_both_formats() {
        // Strict needs line breaks where soft forbids them, so 3.5 is the most that can be had.
        assert!(close(total(PERFECT, Some("18")), 2.0 + 0.5 + 0.5 + 0.5));
        let one_line = "<reasoning>9*2</reasoning> <answer>18</answer>";
        assert!(close(total(one_line, Some("18")), 2.0 + 0.5 + 0.5));
    }

    #[test]
    fn several_lines_of_reasoning_earn_no_format() {
        let text = "<reasoning>\na\nb\n</reasoning>\n<answer>\n18\n</answer>\n";
        assert!(close(total(text, Some("19")), 0.5 + 0.5));
        assert!(!strict_format(text) && !soft_format(text));
    }

    #[test]
    fn trailing_text_is_charged_twice_and_a_missing_marker_costs_the_whole_text() {
        let trailing = format!("{PERFECT}0123456789");
        assert!(close(tags(&trailing), 0.5 - 0.010 - 0.010));
        let unclosed = "<reasoning>\n9*2\n</reasoning>\n<answer>\n18";
        assert!(close(tags(unclosed), 0.375 - 0.001 * unclosed.len() as f64));
    }

    #[test]
    fn only_the_same_string_is_correct() {
        assert!(close(total("<answer>1,000</answer>", Some("1,000")), 2.0));
        assert!(close(total("<answer>1000</answer>", Some("1,000")), 0.5));
        assert!(close(total("<answer>18</answer>", None), 0.5));
        assert!(close(total("18", Some("18")), 2.5));
    }
}
