const OPEN: &str = "<answer>";
const CLOSE: &str = "</answer>";

/// The contents of all `<answer>..</answer>` blocks, left to right. Each opening tag is paired with
/// the next closing tag, so a block may itself contain an opening tag. Yields the byte offset of the
/// content and the content.
pub(crate) fn answer_blocks(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut from = 0;
    std::iter::from_fn(move || {
        let start = from + text[from..].find(OPEN)? + OPEN.len();
        let end = start + text[start..].find(CLOSE)?;
        from = end + CLOSE.len();
        Some((start, &text[start..end]))
    })
}

/// The trimmed content of the last complete block.
pub(crate) fn last_answer_block(text: &str) -> Option<&str> {
    answer_blocks(text).last().map(|(_, content)| content.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_pair_with_the_next_closing_tag() {
        let text = "<answer>a<answer>b</answer> <answer>\nc\n</answer><answer>d";
        let blocks: Vec<_> = answer_blocks(text).map(|(_, content)| content).collect();
        assert_eq!(blocks, ["a<answer>b", "\nc\n"]);
        assert_eq!(last_answer_block(text), Some("c"));
        assert_eq!(last_answer_block("</answer><answer>"), None);
    }
}
