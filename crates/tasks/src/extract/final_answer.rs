use super::answer_tag::answer_blocks;
use super::boxed::last_boxed;

/// Markers after which nothing the model writes belongs to its reply.
const END_MARKERS: [&str; 6] =
    ["<|endoftext|>", "<|eot_id|>", "<|im_end|>", "<|end_of_text|>", "<|role_end|>", "</s>"];

/// The completion up to its first end marker.
pub(crate) fn before_end(completion: &str) -> &str {
    let end = END_MARKERS.iter().filter_map(|marker| completion.find(marker)).min();
    &completion[..end.unwrap_or(completion.len())]
}

/// The answer that a reader takes as final: of the last `<answer>` block and the last `\boxed{..}`,
/// whichever begins later (so a box inside the block unwraps it); without either, the line after the
/// last `####`. `None` where that is empty.
pub(crate) fn final_answer(completion: &str) -> Option<&str> {
    let text = before_end(completion);
    let block = answer_blocks(text).last();
    let found = match (block, last_boxed(text)) {
        (Some((start, block)), Some((at, _))) if at < start => block,
        (_, Some((_, boxed))) => boxed,
        (Some((_, block)), None) => block,
        (None, None) => text.rsplit_once("####")?.1.lines().next()?,
    };
    Some(found.trim()).filter(|answer| !answer.is_empty())
}

/// The one answer of a completion that must give exactly one: the only `<answer>` block, or the only
/// box where there is no block. A box that is the whole content of the block is unwrapped.
pub(crate) fn only_answer(completion: &str) -> OnlyAnswer<'_> {
    let text = before_end(completion);
    let mut blocks = answer_blocks(text);
    match (blocks.next(), blocks.next()) {
        (Some((_, block)), None) => OnlyAnswer::One(unwrap_box(block.trim())),
        (Some(_), Some(_)) => OnlyAnswer::Several,
        (None, _) => match (last_boxed(text), text.matches("\\boxed").count()) {
            (Some((_, boxed)), 1) => OnlyAnswer::One(boxed),
            (Some(_), _) => OnlyAnswer::Several,
            (None, _) => OnlyAnswer::Missing,
        },
    }
}

/// How many answers a completion gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnlyAnswer<'a> {
    /// None.
    Missing,
    /// One: its trimmed text.
    One(&'a str),
    /// More than one.
    Several,
}

fn unwrap_box(block: &str) -> &str {
    match last_boxed(block) {
        Some((0, boxed)) if block.ends_with('}') => boxed,
        _ => block,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_later_of_block_and_box_is_final() {
        assert_eq!(final_answer("\\boxed{1} <answer> 2 </answer>"), Some("2"));
        assert_eq!(final_answer("<answer>\\boxed{3}</answer>"), Some("3"));
        assert_eq!(final_answer("<answer>4</answer> so \\boxed{5}"), Some("5"));
        assert_eq!(final_answer("work\n#### 1,234\nmore"), Some("1,234"));
        assert_eq!(final_answer("<answer>6</answer><|eot_id|>\\boxed{7}"), Some("6"));
        assert_eq!(final_answer("<answer></answer>"), None);
        assert_eq!(final_answer("nothing"), None);
    }

    #[test]
    fn hedging_is_seen() {
        assert_eq!(only_answer("<answer>\\boxed{1+2}</answer>"), OnlyAnswer::One("1+2"));
        assert_eq!(only_answer("<answer>1</answer><answer>2</answer>"), OnlyAnswer::Several);
        assert_eq!(only_answer("\\boxed{1} \\boxed{2}"), OnlyAnswer::Several);
        assert_eq!(only_answer("<answer>1"), OnlyAnswer::Missing);
    }
}
