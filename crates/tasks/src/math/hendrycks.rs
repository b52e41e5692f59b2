//! The string normalisation of the Hendrycks MATH evaluation, which d1 uses.
//!
//! The order of the steps matters and is part of the behaviour; so are its failures: where the
//! original trips over its input, the raw strings are compared.

/// Whether the two answers are the same string once normalised, or as they stand if either cannot be.
pub fn is_equivalent(a: &str, b: &str) -> bool {
    match (normalise(a), normalise(b)) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    }
}

/// `None` where the original raises an exception.
fn normalise(text: &str) -> Option<String> {
    let mut text = text.to_owned();
    for (old, new) in [
        ("\n", ""),
        ("\\!", ""),
        ("\\\\", "\\"),
        ("tfrac", "frac"),
        ("dfrac", "frac"),
        ("\\left", ""),
        ("\\right", ""),
        ("^{\\circ}", ""),
        ("^\\circ", ""),
        ("\\$", ""),
    ] {
        text = text.replace(old, new);
    }
    text = without_units(&text)?.to_owned();
    for (old, new) in [("\\%", ""), (" .", " 0."), ("{.", "{0.")] {
        text = text.replace(old, new);
    }
    if text.is_empty() {
        return Some(text);
    }
    if text.starts_with('.') {
        text.insert(0, '0');
    }
    text = without_short_left_side(&text).to_owned();
    text = braced_roots(&text)?.replace(' ', "");
    text = braced_fractions(&text)?;
    if text == "0.5" {
        text = "\\frac{1}{2}".to_owned();
    }
    slash_as_fraction(&text)
}

/// Everything before the one `\text{ ` (with its space); two of them are an exception.
fn without_units(text: &str) -> Option<&str> {
    let mut parts = text.split("\\text{ ");
    let first = parts.next()?;
    parts.next();
    parts.next().is_none().then_some(first)
}

/// `x = 5` becomes ` 5` where the left side has at most two characters.
fn without_short_left_side(text: &str) -> &str {
    match text.split_once('=') {
        Some((left, right)) if !right.contains('=') && left.chars().count() <= 2 => right,
        _ => text,
    }
}

/// `\sqrt3` becomes `\sqrt{3}`; a `\sqrt` at the end is an exception.
fn braced_roots(text: &str) -> Option<String> {
    let mut parts = text.split("\\sqrt");
    let mut fixed = parts.next()?.to_owned();
    for part in parts {
        let first = part.chars().next()?;
        fixed.push_str("\\sqrt");
        if first == '{' {
            fixed.push_str(part);
        } else {
            fixed.push_str(&format!("{{{first}}}{}", &part[first.len_utf8()..]));
        }
    }
    Some(fixed)
}

/// `\frac12` becomes `\frac{1}{2}` and `\frac1{72}` becomes `\frac{1}{72}`; a `\frac` at the end is an
/// exception, one followed by a single character leaves the whole text as it was.
fn braced_fractions(text: &str) -> Option<String> {
    let mut parts = text.split("\\frac");
    let mut fixed = parts.next()?.to_owned();
    for part in parts {
        fixed.push_str("\\frac");
        let mut characters = part.chars();
        let numerator = characters.next()?;
        if numerator == '{' {
            fixed.push_str(part);
            continue;
        }
        let Some(denominator) = characters.next() else {
            return Some(text.to_owned());
        };
        let rest = characters.as_str();
        fixed.push_str(&match denominator {
            '{' => format!("{{{numerator}}}{{{rest}"),
            _ => format!("{{{numerator}}}{{{denominator}}}{rest}"),
        });
    }
    Some(fixed)
}

/// `a/b` becomes `\frac{a}{b}` for two plain integers; one slash between anything else is an
/// exception.
fn slash_as_fraction(text: &str) -> Option<String> {
    let Some((a, b)) = text.split_once('/').filter(|(_, b)| !b.contains('/')) else {
        return Some(text.to_owned());
    };
    let (plain_a, plain_b) = (python_int(a)?, python_int(b)?);
    let plain = plain_a == a && plain_b == b;
    Some(if plain { format!("\\frac{{{a}}}{{{b}}}") } else { text.to_owned() })
}

/// What Python prints for `int(text)`, if that is an integer literal to it.
fn python_int(text: &str) -> Option<String> {
    let text = text.trim();
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    // Single underscores between digits are allowed.
    let well_formed = digits
        .split('_')
        .all(|group| !group.is_empty() && group.bytes().all(|byte| byte.is_ascii_digit()));
    if !well_formed {
        return None;
    }
    let digits = digits.replace('_', "");
    Some(match digits.trim_start_matches('0') {
        "" => "0".to_owned(),
        significant => format!("{sign}{significant}"),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn published_examples_of_the_normaliser() {
        for (a, b) in [
            ("\\tfrac{1}{2}", "0.5"),
            ("\\frac12", "\\frac{1}{2}"),
            ("\\frac1{72}", "\\dfrac{1}{72}"),
            ("1/2", "\\frac{1}{2}"),
            ("\\sqrt3", "\\sqrt{3}"),
            (".25", "0.25"),
            ("k = 5", "5"),
            ("90^\\circ", "90"),
            ("10\\%", "10"),
            ("\\$5", "5"),
            ("10,\\!000", "10,000"),
            ("5\\text{ cm}", "5"),
            ("\\left( 1, 2 \\right)", "(1,2)"),
        ] {
            assert!(is_equivalent(a, b), "{a} {b}");
        }
    }

    #[test]
    fn its_blind_spots_are_kept() {
        for (a, b) in [
            ("0.25", "\\frac{1}{4}"),
            ("\\frac{2}{4}", "\\frac{1}{2}"),
            ("1,2", "2,1"),
            ("5\\text{cm}", "5"),
            ("abc = 5", "5"),
            // One slash between other things than integers: raw strings are compared.
            ("x / 2", "x/2"),
            ("01/2", "\\frac{1}{2}"),
            ("\\sqrt", "\\sqrt "),
        ] {
            assert!(!is_equivalent(a, b), "{a} {b}");
        }
        assert!(is_equivalent("x/2", "x/2"));
    }

    #[test]
    fn exceptions_of_the_original() {
        for text in ["\\sqrt", "\\frac", "1/x", "\\text{ a}\\text{ b}", "/"] {
            assert_eq!(normalise(text), None, "{text}");
        }
        assert_eq!(normalise("\\frac1").as_deref(), Some("\\frac1"));
        assert_eq!(normalise("-1/2").as_deref(), Some("\\frac{-1}{2}"));
        assert_eq!(normalise("1/2/3").as_deref(), Some("1/2/3"));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in r"(\\frac|\\sqrt|\\text\{ |[{}0-9a-z/=. é\\-]){0,30}") {
            prop_assert!(is_equivalent(&text, &text));
        }
    }
}
