use std::time::Duration;

use super::document::Unit;
use crate::progress::clock;

/// A number as people read it: `81.3` (percent), `1:23` (seconds), else four significant digits.
pub(super) fn show(value: f64, unit: Option<Unit>) -> String {
    match unit {
        Some(Unit::Percent) => signed(format!("{:.1}", 100.0 * value)),
        Some(Unit::Seconds) => match Duration::try_from_secs_f64(value) {
            Ok(duration) if value >= 60.0 => clock(duration),
            _ => format!("{} s", plain(value)),
        },
        None => plain(value),
    }
}

/// A count with thin spaces between groups of three digits, from five digits on.
pub(super) fn count(value: i64) -> String {
    let digits = value.unsigned_abs().to_string();
    if digits.len() < 5 {
        return signed(value.to_string());
    }
    let mut text = if value < 0 { "\u{2212}".to_owned() } else { String::new() };
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push('\u{2009}');
        }
        text.push(digit);
    }
    text
}

/// Four significant digits without trailing zeros; very large and very small ones as `1.5e-6`.
fn plain(value: f64) -> String {
    let size = value.abs();
    if !value.is_finite() {
        return "not finite".to_owned();
    }
    if value == value.trunc() && size < 1e9 {
        return count(value as i64);
    }
    if !(1e-4..1e9).contains(&size) {
        let text = format!("{value:.2e}");
        let (digits, power) = text.split_once('e').unwrap_or((&text, "0"));
        return signed(format!("{}e{power}", without_zeros(digits)));
    }
    let decimals = (3 - size.log10().floor() as i32).clamp(0, 7) as usize;
    signed(without_zeros(&format!("{value:.decimals$}")).to_owned())
}

/// Digits without the zeros that end a fraction.
fn without_zeros(digits: &str) -> &str {
    match digits.contains('.') {
        true => digits.trim_end_matches('0').trim_end_matches('.'),
        false => digits,
    }
}

/// Writes the sign as a minus, not a hyphen, and drops it from a rounded zero.
fn signed(text: String) -> String {
    match text.strip_prefix('-') {
        Some(rest) if rest.chars().all(|digit| matches!(digit, '0' | '.')) => rest.to_owned(),
        Some(rest) => format!("\u{2212}{rest}"),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        let shown = [0.81346, 12.0, 1234.56, -0.5, 3e-6, -2.5e-7, 12345.0, 0.1 + 0.2, 1e12];
        assert_eq!(
            shown.map(|value| show(value, None)),
            [
                "0.8135",
                "12",
                "1235",
                "\u{2212}0.5",
                "3e-6",
                "\u{2212}2.5e-7",
                "12\u{2009}345",
                "0.3",
                "1e12"
            ]
        );
    }

    #[test]
    fn units() {
        assert_eq!(show(0.8134, Some(Unit::Percent)), "81.3");
        assert_eq!(show(-0.0001, Some(Unit::Percent)), "0.0");
        assert_eq!(show(-0.021, Some(Unit::Percent)), "\u{2212}2.1");
        assert_eq!(show(83.2, Some(Unit::Seconds)), "1:23");
        assert_eq!(show(8.25, Some(Unit::Seconds)), "8.25 s");
    }

    #[test]
    fn counts_are_grouped() {
        let shown = [0, 999, 1319, 27_130, 1_000_000, -12_345].map(count);
        assert_eq!(
            shown,
            [
                "0",
                "999",
                "1319",
                "27\u{2009}130",
                "1\u{2009}000\u{2009}000",
                "\u{2212}12\u{2009}345"
            ]
        );
    }
}
