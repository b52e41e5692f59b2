//! Text from outside, made fit for an error message.

use std::fmt::Write as _;

/// At most `limit` characters of `bytes` between quotes, control characters and broken UTF-8
/// escaped, with the length of what was cut off.
pub(crate) fn quoted(bytes: &[u8], limit: usize) -> String {
    // A character takes at most four bytes, so this decodes no more than it needs.
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(limit.saturating_mul(4))]);
    let mut text = String::from("\"");
    let mut used = 0;
    for character in head.chars().take(limit) {
        used += character.len_utf8();
        match character {
            '\'' => text.push('\''),
            other => text.extend(other.escape_debug()),
        }
    }
    text.push('"');
    if used < bytes.len() {
        // Writing to a string cannot fail.
        let _ = write!(text, " and {} bytes more", bytes.len() - used);
    }
    text
}

/// One line for a log: no escape sequences, no control characters, at most `limit` characters.
pub(crate) fn plain(line: &[u8], limit: usize) -> String {
    let stripped = anstream::adapter::strip_bytes(line).into_vec();
    let text = String::from_utf8_lossy(&stripped);
    let mut characters = text.trim_end().chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut plain: String = characters.by_ref().take(limit).collect();
    if characters.next().is_some() {
        plain.push('…');
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_escaped_and_cut() {
        assert_eq!(quoted(b"it's \x1b[31m\"\n", 80), r#""it's \u{1b}[31m\"\n""#);
        assert_eq!(quoted(&[b'x'; 100], 3), "\"xxx\" and 97 bytes more");
        assert_eq!(quoted("äöü".as_bytes(), 2), "\"äö\" and 2 bytes more");
        assert_eq!(plain(b"\x1b[31mred\x1b[0m\ttext\r\n", 80), "red text");
        assert_eq!(plain(b"\x1b]0;title\x07\x08abc", 2), "ab…");
    }
}
