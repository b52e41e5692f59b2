const BOX: &str = "\\boxed";

/// The contents of every `\boxed{..}` on one line, each read up to the *first* closing brace: d1's
/// GSM8K reading, which cuts `\boxed{\frac{1}{2}}` short.
pub(crate) fn lazy_boxes(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            let (_, after) = rest.split_once("\\boxed{")?;
            rest = after;
            let end = after.find(['}', '\n'])?;
            if after[end..].starts_with('}') {
                rest = &after[end + 1..];
                return Some(&after[..end]);
            }
        }
    })
}

/// What the Hendrycks MATH evaluation, and with it d1, finds in place of a final box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HendrycksBox<'a> {
    /// The content of the last box.
    Found(&'a str),
    /// There is no box; d1 then takes the *whole text* for the answer.
    Absent,
    /// The braces of the last box never close.
    Unclosed,
}

/// The last box, with the quirks of the original: a text with `\boxed ` (space) anywhere is read from
/// the last such marker to the next dollar sign; without any `\boxed` the last `\fbox{..}` is taken,
/// with its wrapper.
pub(crate) fn hendrycks_box(text: &str) -> HendrycksBox<'_> {
    const SPACED: &str = "\\boxed ";
    if let Some((_, after)) = text.rsplit_once(SPACED) {
        return HendrycksBox::Found(after.split_once('$').map_or(after, |(content, _)| content));
    }
    let Some(start) = text.rfind(BOX).or_else(|| text.rfind("\\fbox")) else {
        return HendrycksBox::Absent;
    };
    let Some(length) = closing_brace(&text[start..]) else {
        return HendrycksBox::Unclosed;
    };
    let found = &text[start..=start + length];
    let content = found.strip_prefix("\\boxed{").and_then(|inside| inside.strip_suffix('}'));
    HendrycksBox::Found(content.unwrap_or(found))
}

/// The last complete `\boxed{..}`: byte offset of its backslash and its content, braces matched.
pub(crate) fn last_boxed(text: &str) -> Option<(usize, &str)> {
    text.rmatch_indices(BOX).find_map(|(start, _)| {
        let after = text[start + BOX.len()..].trim_start();
        let inside = after.strip_prefix('{')?;
        let end = closing_brace(after)?;
        Some((start, inside[..end - 1].trim()))
    })
}

/// The offset of the brace that brings the count of open braces back to zero. Escaped braces count
/// as braces, as they do in the evaluations this serves; in balanced text that changes nothing.
fn closing_brace(text: &str) -> Option<usize> {
    let mut open = 0i64;
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => open += 1,
            b'}' => {
                open -= 1;
                if open == 0 {
                    return Some(index);
                }
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lazy_boxes_stop_at_the_first_brace_and_never_span_lines() {
        let boxes: Vec<_> =
            lazy_boxes("\\boxed{} \\boxed{\\frac{1}{2}} \\boxed{3\n} \\boxed{4}").collect();
        assert_eq!(boxes, ["", "\\frac{1", "4"]);
    }

    #[test]
    fn the_hendrycks_reading() {
        use HendrycksBox::{Absent, Found, Unclosed};
        assert_eq!(hendrycks_box("\\boxed{1} so \\boxed{\\frac{1}{2}}."), Found("\\frac{1}{2}"));
        assert_eq!(hendrycks_box("$\\boxed 5$ or \\boxed{6}"), Found("5"));
        assert_eq!(hendrycks_box("no box"), Absent);
        assert_eq!(hendrycks_box("\\fbox{7}"), Found("\\fbox{7}"));
        assert_eq!(hendrycks_box("\\boxed5 {x}"), Found("\\boxed5 {x}"));
        assert_eq!(hendrycks_box("\\boxed{8"), Unclosed);
    }

    #[test]
    fn the_last_complete_box_wins() {
        assert_eq!(last_boxed("\\boxed{1} \\boxed{2"), Some((0, "1")));
        assert_eq!(last_boxed("\\boxed{ \\{1\\} }"), Some((0, "\\{1\\}")));
        assert_eq!(last_boxed("\\boxed"), None);
    }
}
