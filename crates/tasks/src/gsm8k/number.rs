//! The number a careful reader sees in a short answer, as an exact rational.

use dashu::integer::{IBig, UBig};
use dashu::rational::RBig;

/// What numbers a text holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// None.
    Nothing,
    /// One.
    One(RBig),
    /// Several different ones: which is meant cannot be told.
    Several,
}

/// Longest run of digits that is read as a number.
const MAX_DIGITS: usize = 400;

/// Reads the number in `text`: after the last equals sign if there is one, with thousands separators,
/// decimals, a sign, `a/b`, `\frac{a}{b}` and mixed numbers; currency signs, units, per-cent signs and
/// other words are passed over.
pub(super) fn read(text: &str) -> Reading {
    let text = text.rsplit_once('=').map_or(text, |(_, value)| value);
    let mut scanner = Scanner { text: &plain(text), at: 0 };
    let mut found: Option<RBig> = None;
    while let Some(value) = scanner.next_value() {
        match (value, &found) {
            (None, _) => return Reading::Several,
            (Some(value), Some(first)) if value != *first => return Reading::Several,
            (Some(value), _) => found = Some(value),
        }
    }
    found.map_or(Reading::Nothing, Reading::One)
}

/// The last number of a text as it stands there: digits with thousands separators, a decimal point, a
/// sign. Other notation is [`read`]'s business.
pub(super) fn last_number(text: &str) -> Option<&str> {
    let end = text.rfind(|c: char| c.is_ascii_digit())? + 1;
    let bytes = text.as_bytes();
    let mut start = end - 1;
    // A comma or point belongs to the number if digits stand on both sides of it.
    while start > 0 {
        match bytes[start - 1] {
            byte if byte.is_ascii_digit() => start -= 1,
            b',' | b'.' if start > 1 && bytes[start - 2].is_ascii_digit() => start -= 1,
            _ => break,
        }
    }
    let negative = text[..start].ends_with('-')
        && !text[..start - 1].ends_with(|c: char| c.is_alphanumeric() || c == ')');
    Some(&text[start - usize::from(negative)..end])
}

/// LaTeX spacing, currency and thousands separators removed, so that what is left is numbers and
/// words.
fn plain(text: &str) -> String {
    let mut plain = text.replace("{,}", ",");
    for noise in ["\\!", "\\,", "\\;", "\\ ", "\\$", "$", "\\left", "\\right"] {
        plain = plain.replace(noise, "");
    }
    for fraction in ["\\dfrac", "\\tfrac"] {
        plain = plain.replace(fraction, "\\frac");
    }
    plain.replace(['−', '–'], "-")
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl Scanner<'_> {
    /// The next number of the text; `Some(None)` if it has no value (division by zero, endless
    /// digits).
    fn next_value(&mut self) -> Option<Option<RBig>> {
        const FRACTION: &str = "\\frac";
        loop {
            let rest = &self.text[self.at..];
            let first = rest.chars().next()?;
            let negative = self.after_minus();
            if rest.starts_with(FRACTION) {
                self.at += FRACTION.len();
                let Some(value) = self.braced_fraction() else {
                    continue;
                };
                return Some(value.map(|value| signed(value, negative)));
            }
            if first.is_ascii_digit() || (first == '.' && self.digit_at(self.at + 1)) {
                return Some(self.number().map(|value| signed(value, negative)));
            }
            self.at += first.len_utf8();
        }
    }

    /// Whether a minus sign stands just before, and not between two operands.
    fn after_minus(&self) -> bool {
        let before = self.text[..self.at].trim_end();
        let Some(before) = before.strip_suffix('-') else {
            return false;
        };
        !before.trim_end().ends_with(|c: char| c.is_alphanumeric() || c == ')' || c == '}')
    }

    /// A decimal, then perhaps `/ decimal`, or a fraction that makes it a mixed number.
    fn number(&mut self) -> Option<RBig> {
        let whole = self.decimal()?;
        let rest = self.text[self.at..].trim_start();
        if let Some(denominator) = rest.strip_prefix('/') {
            let denominator = denominator.trim_start();
            if denominator.starts_with(|c: char| c.is_ascii_digit()) {
                self.at = self.text.len() - denominator.len();
                return quotient(whole, self.decimal()?);
            }
        }
        if let Some(fraction) = rest.strip_prefix("\\frac").filter(|_| whole.is_int()) {
            self.at = self.text.len() - fraction.len();
            return Some(whole + self.braced_fraction()??);
        }
        if whole.is_int() && rest.starts_with(|c: char| c.is_ascii_digit()) {
            // `3 1/2`; anything else, such as `3 4`, is two numbers.
            let mut ahead = Scanner { text: self.text, at: self.text.len() - rest.len() };
            let numerator = ahead.decimal()?;
            if let Some(denominator) = ahead.text[ahead.at..].strip_prefix('/') {
                ahead.at = ahead.text.len() - denominator.len();
                if ahead.digit_at(ahead.at) {
                    let fraction = quotient(numerator, ahead.decimal()?)?;
                    self.at = ahead.at;
                    return Some(whole + fraction);
                }
            }
        }
        Some(whole)
    }

    /// `{a}{b}` after `\frac`. Outer `None`: no such thing here.
    fn braced_fraction(&mut self) -> Option<Option<RBig>> {
        let (numerator, rest) = braced(&self.text[self.at..])?;
        let (denominator, rest) = braced(rest)?;
        self.at = self.text.len() - rest.len();
        let value = |inside: &str| match read(inside) {
            Reading::One(value) => Some(value),
            _ => None,
        };
        // The contents hold no braces, so reading them does not come back here.
        Some(value(numerator).zip(value(denominator)).and_then(|(a, b)| quotient(a, b)))
    }

    /// Digits with thousands separators and a decimal point.
    fn decimal(&mut self) -> Option<RBig> {
        let mut digits = self.digits();
        if (1..=3).contains(&digits.len()) {
            while self.text[self.at..].starts_with(',')
                && (1..=3).all(|i| self.digit_at(self.at + i))
                && !self.digit_at(self.at + 4)
            {
                self.at += 1;
                digits += &self.digits();
            }
        }
        let mut scale = 0;
        if self.text[self.at..].starts_with('.') && self.digit_at(self.at + 1) {
            self.at += 1;
            let decimals = self.digits();
            scale = decimals.len();
            digits += &decimals;
        }
        if digits.len() > MAX_DIGITS {
            return None;
        }
        let digits = UBig::from_str_radix(&digits, 10).ok()?;
        Some(RBig::from_parts(IBig::from(digits), UBig::from(10u8).pow(scale)))
    }

    fn digits(&mut self) -> String {
        let rest = &self.text[self.at..];
        let run = &rest[..rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len())];
        self.at += run.len();
        run.to_owned()
    }

    fn digit_at(&self, at: usize) -> bool {
        self.text.as_bytes().get(at).is_some_and(u8::is_ascii_digit)
    }
}

fn braced(text: &str) -> Option<(&str, &str)> {
    let (inside, rest) = text.trim_start().strip_prefix('{')?.split_once('}')?;
    (!inside.contains('{')).then_some((inside, rest))
}

fn quotient(a: RBig, b: RBig) -> Option<RBig> {
    (!b.is_zero()).then(|| a / b)
}

fn signed(value: RBig, negative: bool) -> RBig {
    if negative { -value } else { value }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_as_people_write_them() {
        for (text, expected) in [
            ("18", "18"),
            ("\\$1,234.50", "2469/2"),
            ("10,\\!080", "10080"),
            ("1{,}000{,}000", "1000000"),
            ("60\\%", "60"),
            ("120\\text{ minutes}", "120"),
            ("-$5", "-5"),
            ("x = 3 + 4 = 7", "7"),
            ("3 1/2 cups", "7/2"),
            ("3\\frac{1}{2}", "7/2"),
            ("-\\dfrac{3}{4}", "-3/4"),
            (".5 miles", "1/2"),
            ("18.00 dollars.", "18"),
            ("5 or 5.0", "5"),
        ] {
            assert_eq!(read(text), Reading::One(expected.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn unclear_texts_are_not_guessed_at() {
        for text in ["2 hours 30 minutes", "3, 4", "10-5", "1,00", "1/0", "7 8"] {
            assert_eq!(read(text), Reading::Several, "{text}");
        }
        assert_eq!(read(&"9".repeat(100_000)), Reading::Several);
        assert_eq!(read("\\text{none}"), Reading::Nothing);
    }

    #[test]
    fn the_last_number_as_written() {
        for (text, expected) in [
            ("costs $1,234.50.", "1,234.50"),
            ("from 3 to -5", "-5"),
            ("10-5", "5"),
            ("1, 2, 3", "3"),
            ("é7é", "7"),
            ("-.5", "5"),
        ] {
            assert_eq!(last_number(text), Some(expected), "{text}");
        }
        assert_eq!(last_number("none"), None);
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,40}", close in r"(\\frac|[{}0-9,./é=-]| ){0,30}") {
            let _ = (read(&text), read(&close), last_number(&text), last_number(&close));
        }
    }
}
