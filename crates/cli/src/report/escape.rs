/// Text made safe for HTML and SVG, inside elements and inside double-quoted attributes.
///
/// Control characters other than newline and tab (and the two code points that no HTML document
/// may hold) become U+FFFD, so that what a model wrote cannot break the page.
pub(super) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len() + text.len() / 8);
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            '\n' | '\t' => safe.push(character),
            '\u{fffe}' | '\u{ffff}' => safe.push('\u{fffd}'),
            _ if character.is_control() => safe.push('\u{fffd}'),
            _ => safe.push(character),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_quotes_and_controls_are_defused() {
        assert_eq!(
            escape("<script>alert('x') & \"y\"</script>\n\u{1b}[31m"),
            "&lt;script&gt;alert(&#39;x&#39;) &amp; &quot;y&quot;&lt;/script&gt;\n\u{fffd}[31m"
        );
        assert_eq!(escape("π ≈ 3.14\t✓"), "π ≈ 3.14\t✓");
    }
}
