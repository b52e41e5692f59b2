//! Numbers drawn with characters.

/// A line of bars, at most `width`; each is the mean of its share of the values. Values that are
/// not finite leave a gap.
pub(super) fn sparkline(values: &[f64], width: usize) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let shares = shares(values.len(), width).map(|share| {
        let finite: Vec<f64> = values[share].iter().copied().filter(|v| v.is_finite()).collect();
        (!finite.is_empty()).then(|| finite.iter().sum::<f64>() / finite.len() as f64)
    });
    let means: Vec<Option<f64>> = shares.collect();
    let (low, high) = range(means.iter().flatten().copied());
    let bar = |mean: Option<f64>| match mean {
        None => ' ',
        // A constant is drawn in the middle.
        Some(_) if high <= low => BARS[3],
        Some(mean) => BARS[((mean - low) / (high - low) * 7.0).round() as usize],
    };
    means.into_iter().map(bar).collect()
}

/// A horizontal bar for a value on a scale from `low` to `high`, at most `width` characters.
pub(super) fn bar(value: f64, low: f64, high: f64, width: usize) -> String {
    if !value.is_finite() || high <= low {
        return String::new();
    }
    const PARTS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = ((value - low) / (high - low) * (8 * width) as f64).round() as usize;
    "█".repeat(eighths / 8) + PARTS[eighths % 8]
}

/// The least and the greatest.
pub(super) fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values
        .filter(|value| value.is_finite())
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)))
}

/// At most `parts` consecutive ranges that cover `0..count`.
fn shares(count: usize, parts: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    let parts = parts.min(count);
    (0..parts).map(move |part| part * count / parts..(part + 1) * count / parts)
}

/// At most `most` indices of `0..count`, evenly spread, the first and the last among them.
pub(super) fn spread(count: usize, most: usize) -> Vec<usize> {
    match most.min(count) {
        0 => Vec::new(),
        1 => vec![count - 1],
        shown => (0..shown).map(|index| index * (count - 1) / (shown - 1)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sparklines_rise_with_the_values() {
        assert_eq!(sparkline(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], 8), "▁▂▃▄▅▆▇█");
        // Means of two: 0.5, 2.5, 4.5, 6.5.
        assert_eq!(sparkline(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], 4), "▁▃▆█");
        assert_eq!(sparkline(&[2.0, 2.0], 8), "▄▄");
        assert_eq!(sparkline(&[0.0, f64::NAN, 1.0], 8), "▁ █");
        assert_eq!(sparkline(&[f64::NAN], 8), " ");
        assert_eq!(sparkline(&[], 8), "");
    }

    #[test]
    fn bars_are_as_long_as_their_values() {
        assert_eq!(bar(1.0, 0.0, 1.0, 4), "████");
        assert_eq!(bar(0.5, 0.0, 1.0, 4), "██");
        assert_eq!(bar(0.25 + 1.0 / 32.0, 0.0, 1.0, 4), "█▏");
        assert_eq!(bar(f64::NAN, 0.0, 1.0, 4), "");
        assert_eq!(bar(1.0, 1.0, 1.0, 4), "");
    }

    #[test]
    fn a_spread_has_both_ends() {
        assert_eq!(spread(10, 4), [0, 3, 6, 9]);
        assert_eq!(spread(3, 20), [0, 1, 2]);
        assert_eq!(spread(5, 1), [4]);
        assert!(spread(0, 5).is_empty());
    }
}
