/// Python's `json` writes `NaN`, `Infinity` and `-Infinity`, which are not JSON. Puts them between
/// quotes, so that only the completions concerned fail and not the whole batch. `None` where there
/// are none outside of strings.
pub(crate) fn quote_non_finite(text: &[u8]) -> Option<Vec<u8>> {
    const WORDS: [&[u8]; 3] = [b"NaN", b"Infinity", b"-Infinity"];
    let mut quoted = Vec::with_capacity(text.len() + 2);
    let (mut found, mut in_string) = (false, false);
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        let word = WORDS.iter().find(|word| !in_string && rest.starts_with(word));
        if let Some(word) = word {
            found = true;
            quoted.push(b'"');
            quoted.extend_from_slice(word);
            quoted.push(b'"');
            rest = &rest[word.len()..];
            continue;
        }
        quoted.push(byte);
        rest = after;
        match (in_string, byte, after.split_first()) {
            (_, b'"', _) => in_string = !in_string,
            (true, b'\\', Some((&escaped, behind))) => {
                quoted.push(escaped);
                rest = behind;
            }
            _ => {}
        }
    }
    found.then_some(quoted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_outside_of_strings() {
        let quote = |text: &str| {
            quote_non_finite(text.as_bytes())
                .map(|text| String::from_utf8_lossy(&text).into_owned())
        };
        assert_eq!(
            quote(r#"[NaN, -Infinity,Infinity, "NaN \" NaN"]"#).as_deref(),
            Some(r#"["NaN", "-Infinity","Infinity", "NaN \" NaN"]"#)
        );
        assert_eq!(quote(r#"{"error": "NaN\\", "a": 1}"#), None);
        assert_eq!(quote("\"\\"), None);
    }
}
