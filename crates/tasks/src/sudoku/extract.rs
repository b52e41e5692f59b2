//! d1's evaluation reads a Sudoku answer with a cascade of five patterns; the first that finds
//! anything but blanks wins. Each function below is one of them.

/// The text that d1's evaluation takes as the solution, white space removed. It need not be digits.
pub(super) fn d1_solution(completion: &str) -> Option<String> {
    [fenced, tagged, after_tag, before_closing_tag, standing_alone]
        .iter()
        .filter_map(|pattern| pattern(completion))
        .map(|found| found.chars().filter(|c| !c.is_whitespace()).collect::<String>())
        .find(|found| !found.is_empty())
}

const OPEN: &str = "<answer>";
const CLOSE: &str = "</answer>";

/// 1. Digits and blanks between code fences somewhere after the first `<answer>`.
fn fenced(text: &str) -> Option<&str> {
    const FENCE: &str = "```";
    let (_, answer) = text.split_once(OPEN)?;
    answer.match_indices(FENCE).find_map(|(at, _)| {
        let inside = &answer[at + FENCE.len()..];
        let end = inside.find(|c: char| !(c.is_ascii_digit() || c.is_whitespace()))?;
        (end > 0 && inside[end..].starts_with(FENCE)).then(|| &inside[..end])
    })
}

/// 2. From the first `<answer>` to its closing tag or an end marker.
fn tagged(text: &str) -> Option<&str> {
    let (_, answer) = text.split_once(OPEN)?;
    Some(&answer[..first_of(answer, &[CLOSE, "<|eot_id|>", "<|endoftext|>"])?])
}

/// 3. From the first `</answer>` to an end marker or the end.
fn after_tag(text: &str) -> Option<&str> {
    let (_, after) = text.split_once(CLOSE)?;
    Some(&after[..first_of(after, &["<|eot_id|>", "<|endoftext|>"]).unwrap_or(after.len())])
}

/// 4. The sixteen digits just before a `</answer>`.
fn before_closing_tag(text: &str) -> Option<&str> {
    text.match_indices(CLOSE).find_map(|(at, _)| {
        let before = text[..at].trim_end();
        let found = before.get(before.len().checked_sub(16)?..)?;
        found.bytes().all(|byte| byte.is_ascii_digit()).then_some(found)
    })
}

/// 5. The first word of exactly sixteen digits.
fn standing_alone(text: &str) -> Option<&str> {
    text.split(|c: char| !(c.is_alphanumeric() || c == '_'))
        .find(|word| word.len() == 16 && word.bytes().all(|byte| byte.is_ascii_digit()))
}

fn first_of(text: &str, markers: &[&str]) -> Option<usize> {
    markers.iter().filter_map(|marker| text.find(marker)).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cascade_in_order() {
        let read = |text: &str| d1_solution(text).unwrap_or_default();
        assert_eq!(read("<answer>so ```12 34\n``` </answer>"), "1234");
        assert_eq!(read("<answer>\n12\n34<|eot_id|></answer>"), "1234");
        assert_eq!(read("<answer> </answer> grid <|endoftext|>"), "grid");
        assert_eq!(read("1111222233334444 </answer>"), "1111222233334444");
        assert_eq!(read("is 1111222233334444, no x1111222233334444"), "1111222233334444");
        assert_eq!(read("11112222333344445"), "");
    }

    #[test]
    fn a_word_in_the_tag_is_taken_as_it_is() {
        assert_eq!(d1_solution("<answer>I think 1</answer>").as_deref(), Some("Ithink1"));
    }
}
