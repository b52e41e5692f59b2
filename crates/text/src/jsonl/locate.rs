//! Where in a line a value stands. Used only to report problems, so speed does not matter.

use serde_json::Value;

/// A step from a value into one of its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step<'a> {
    Key(&'a str),
    Index(usize),
}

/// Byte offset of the value that `path` leads to in `json`, which is valid and has no key twice; of
/// the last value on the way that exists, if the path leads nowhere.
pub(super) fn locate(json: &str, path: &[Step<'_>]) -> usize {
    let bytes = json.as_bytes();
    let mut at = skip_space(bytes, 0);
    for step in path {
        match part(json, at, *step) {
            Some(next) => at = next,
            None => break,
        }
    }
    at
}

/// Offset of a part of the object or array that begins at `start`.
fn part(json: &str, start: usize, step: Step<'_>) -> Option<usize> {
    let bytes = json.as_bytes();
    let mut at = skip_space(bytes, start + 1);
    let mut index = 0;
    while !matches!(bytes.get(at)?, b'}' | b']') {
        let found = match step {
            Step::Index(wanted) => wanted == index,
            Step::Key(wanted) => {
                let end = skip_value(bytes, at)?;
                let key: Value = serde_json::from_str(json.get(at..end)?).ok()?;
                at = skip_space(bytes, skip_space(bytes, end) + 1);
                key == wanted
            }
        };
        if found {
            return Some(at);
        }
        at = skip_space(bytes, skip_value(bytes, at)?);
        if bytes.get(at) == Some(&b',') {
            at = skip_space(bytes, at + 1);
        }
        index += 1;
    }
    None
}

fn skip_space(bytes: &[u8], from: usize) -> usize {
    let space = |byte: &&u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
    from + bytes.get(from..).unwrap_or_default().iter().take_while(space).count()
}

/// The offset after the value that begins at `start`.
fn skip_value(bytes: &[u8], start: usize) -> Option<usize> {
    let (mut at, mut depth) = (start, 0usize);
    loop {
        match bytes.get(at)? {
            b'"' => at = skip_string(bytes, at)?,
            b'{' | b'[' => {
                depth += 1;
                at += 1;
            }
            b'}' | b']' => {
                depth = depth.checked_sub(1)?;
                at += 1;
            }
            _ if depth > 0 => at += 1,
            _ => {
                let scalar = |byte: &&u8| !matches!(byte, b',' | b'}' | b']' | b' ' | b'\t' | b':');
                return Some(at + bytes[at..].iter().take_while(scalar).count());
            }
        }
        if depth == 0 {
            return Some(at);
        }
    }
}

fn skip_string(bytes: &[u8], start: usize) -> Option<usize> {
    let mut at = start + 1;
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_to_the_first_byte_of_their_value() {
        let json = r#" {"a \"]": [1, {"b":-2.5e3 , "c" : "}"}, [true,null]], "d":{},"é": 7}"#;
        let find = |path: &[Step<'_>]| &json[locate(json, path)..];
        let [a, c] = ["a \"]", "c"].map(Step::Key);
        assert!(find(&[]).starts_with("{\"a"));
        assert!(find(&[a]).starts_with("[1, "));
        assert!(find(&[a, Step::Index(1), Step::Key("b")]).starts_with("-2.5e3 ,"));
        assert!(find(&[a, Step::Index(1), c]).starts_with("\"}\"}"));
        assert!(find(&[a, Step::Index(2), Step::Index(1)]).starts_with("null]"));
        assert!(find(&[Step::Key("d")]).starts_with("{},"));
        assert!(find(&[Step::Key("é")]).starts_with("7}"));
    }

    #[test]
    fn a_path_that_breaks_off_leads_as_far_as_it_goes() {
        let json = r#"{"a": [1], "b": {}}"#;
        assert_eq!(locate(json, &[Step::Key("a"), Step::Index(3)]), 6);
        assert_eq!(locate(json, &[Step::Key("b"), Step::Key("x")]), 16);
        assert_eq!(locate(json, &[Step::Key("z")]), 0);
    }
}
