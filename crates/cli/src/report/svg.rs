//! A line chart with interval bands, as inline SVG.
//!
//! Colours come from the page (`--series-1` .. `--series-8` and `currentColor`), so one drawing
//! serves light and dark. Each series also has its own marker: colour is never the only cue.

use std::fmt::Write;

use super::document::{Curve, Series};
use super::escape::escape;
use super::number::show;

const WIDTH: f64 = 560.0;
/// Least room for the labels of the vertical axis.
const LEFT: f64 = 52.0;
const RIGHT: f64 = 14.0;
const PLOT: f64 = 236.0;
const BOTTOM: f64 = 46.0;
/// Height of one row of the legend, and of the label of the vertical axis.
const ROW: f64 = 20.0;
/// Mean width of a character at the chart's type size; the legend wraps by it.
const CHARACTER: f64 = 7.0;
/// Series with more points than this show their markers only under the pointer.
const MARKED: usize = 24;

/// The chart of a curve; `name` is read out by screen readers.
pub(super) fn line_chart(name: &str, curve: &Curve) -> String {
    let legend = legend(&curve.series);
    let top = ROW * (legend.rows as f64 + 1.0) + 10.0;
    let height = top + PLOT + BOTTOM;
    let mut svg = String::new();
    // Writing to a String cannot fail, here and below.
    let _ = write!(
        svg,
        "<svg class=\"chart\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{}\">",
        escape(&format!("{name}: {} against {}", curve.y_label, curve.x_label))
    );
    svg.push_str(&legend.svg);
    let _ = write!(
        svg,
        "<text class=\"label\" x=\"{}\" y=\"{:.1}\">{}</text>",
        0.0,
        top - 12.0,
        escape(&curve.y_label)
    );
    match Frame::around(&curve.series, top) {
        Some(frame) => {
            frame.axes(&mut svg, &curve.x_label);
            for (index, series) in curve.series.iter().enumerate() {
                frame.band(&mut svg, index, series);
            }
            for (index, series) in curve.series.iter().enumerate() {
                frame.line(&mut svg, index, series);
            }
            for (index, series) in curve.series.iter().enumerate() {
                frame.markers(&mut svg, index, series);
            }
        }
        None => {
            let (x, y) = (WIDTH / 2.0, top + PLOT / 2.0);
            let _ = write!(
                svg,
                "<text class=\"label\" text-anchor=\"middle\" x=\"{x}\" y=\"{y}\">no points</text>"
            );
        }
    }
    svg.push_str("</svg>");
    svg
}

/// Ticks at multiples of 1, 2, 2.5 or 5 times a power of ten that cover `low..=high` with about
/// `wanted` steps. The range must be finite and not empty.
pub(super) fn nice_ticks(low: f64, high: f64, wanted: usize) -> Vec<f64> {
    let rough = (high - low) / wanted.max(1) as f64;
    let power = 10f64.powf(rough.log10().floor());
    let factor =
        [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().find(|factor| factor * power >= rough * 0.999);
    let step = factor.unwrap_or(10.0) * power;
    let first = (low / step + 1e-9).floor();
    let last = (high / step - 1e-9).ceil();
    // Beyond a hundred ticks the range is so narrow that floats cannot tell its ticks apart.
    (0..=((last - first) as usize).min(100)).map(|index| (first + index as f64) * step).collect()
}

/// Data to page coordinates.
struct Frame {
    top: f64,
    left: f64,
    x: (f64, f64),
    y: (f64, f64),
    x_ticks: Vec<f64>,
    y_ticks: Vec<f64>,
}

impl Frame {
    /// None where no series has a point.
    fn around(series: &[Series], top: f64) -> Option<Self> {
        let points = || series.iter().flat_map(|series| &series.points);
        points().next()?;
        let x = widen(range(points().map(|point| point[0])));
        let mut y = widen(range(points().flat_map(|point| point[1..].iter().copied())));
        // Quantities that come near zero are shown from zero, so that heights compare honestly.
        if y.0 > 0.0 && y.0 < 0.5 * y.1 {
            y.0 = 0.0;
        }
        let y_ticks = nice_ticks(y.0, y.1, 5);
        let y = range(y_ticks.iter().copied());
        let x_ticks =
            nice_ticks(x.0, x.1, 6).into_iter().filter(|tick| (x.0..=x.1).contains(tick)).collect();
        let longest = y_ticks.iter().map(|tick| show(*tick, None).chars().count()).max();
        let left = LEFT.max(12.0 + CHARACTER * longest.unwrap_or_default() as f64);
        Some(Self { top, left, x, y, x_ticks, y_ticks })
    }

    fn x(&self, value: f64) -> f64 {
        self.left + (value - self.x.0) / (self.x.1 - self.x.0) * (WIDTH - self.left - RIGHT)
    }

    fn y(&self, value: f64) -> f64 {
        self.top + PLOT - (value - self.y.0) / (self.y.1 - self.y.0) * PLOT
    }

    fn axes(&self, svg: &mut String, x_label: &str) {
        let bottom = self.top + PLOT;
        let (left, right) = (self.left, WIDTH - RIGHT);
        for tick in &self.y_ticks {
            let y = self.y(*tick);
            let _ = write!(
                svg,
                "<line class=\"grid\" x1=\"{left}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
                 <text class=\"tick\" text-anchor=\"end\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                left - 8.0,
                y + 4.0,
                show(*tick, None)
            );
        }
        for tick in &self.x_ticks {
            let x = self.x(*tick);
            let _ = write!(
                svg,
                "<line class=\"axis\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{bottom}\" y2=\"{:.1}\"/>\
                 <text class=\"tick\" text-anchor=\"middle\" x=\"{x:.1}\" y=\"{:.1}\">{}</text>",
                bottom + 5.0,
                bottom + 19.0,
                show(*tick, None)
            );
        }
        let _ = write!(
            svg,
            "<line class=\"axis\" x1=\"{left}\" x2=\"{right}\" y1=\"{bottom}\" y2=\"{bottom}\"/>\
             <text class=\"label\" text-anchor=\"end\" x=\"{right}\" y=\"{:.1}\">{}</text>",
            bottom + 39.0,
            escape(x_label)
        );
    }

    /// The interval band: out along the upper ends, back along the lower ones.
    fn band(&self, svg: &mut String, index: usize, series: &Series) {
        if !series.points.iter().any(|point| point[2] < point[3]) {
            return;
        }
        let upper = series.points.iter().map(|point| (point[0], point[3]));
        let lower = series.points.iter().rev().map(|point| (point[0], point[2]));
        let corners = self.path(upper.chain(lower));
        let _ =
            write!(svg, "<polygon class=\"band\" fill=\"{}\" points=\"{corners}\"/>", color(index));
    }

    fn line(&self, svg: &mut String, index: usize, series: &Series) {
        let corners = self.path(series.points.iter().map(|point| (point[0], point[1])));
        let _ = write!(
            svg,
            "<polyline class=\"line\" stroke=\"{}\"{} points=\"{corners}\"/>",
            color(index),
            dashes(index)
        );
    }

    fn markers(&self, svg: &mut String, index: usize, series: &Series) {
        let class = if series.points.len() > MARKED { "point faint" } else { "point" };
        for [x, y, low, high] in &series.points {
            let interval = match low < high {
                true => format!(" [{}, {}]", show(*low, None), show(*high, None)),
                false => String::new(),
            };
            let title =
                format!("{}\n{}: {}{interval}", series.name, show(*x, None), show(*y, None));
            let _ = write!(
                svg,
                "<g class=\"{class}\" fill=\"{}\"><title>{}</title>{}</g>",
                color(index),
                escape(&title),
                marker(index, self.x(*x), self.y(*y))
            );
        }
    }

    fn path(&self, points: impl Iterator<Item = (f64, f64)>) -> String {
        let corner = |(x, y)| format!("{:.1},{:.1}", self.x(x), self.y(y));
        points.map(corner).collect::<Vec<_>>().join(" ")
    }
}

struct Legend {
    svg: String,
    rows: usize,
}

/// Names of the series with their marks, wrapped into rows; empty for a single unnamed series.
fn legend(series: &[Series]) -> Legend {
    let mut svg = String::new();
    let (mut x, mut rows) = (0.0, 0);
    for (index, series) in series.iter().enumerate().filter(|(_, series)| !series.name.is_empty()) {
        let width = 38.0 + CHARACTER * series.name.chars().count() as f64 + 14.0;
        if rows == 0 || x + width > WIDTH {
            (x, rows) = (0.0, rows + 1);
        }
        let y = ROW * rows as f64 - 8.0;
        let _ = write!(
            svg,
            "<line class=\"line\" stroke=\"{color}\"{} x1=\"{x:.1}\" x2=\"{:.1}\" y1=\"{y}\" \
             y2=\"{y}\"/><g fill=\"{color}\">{}</g><text class=\"name\" x=\"{:.1}\" \
             y=\"{:.1}\">{}</text>",
            dashes(index),
            x + 26.0,
            marker(index, x + 13.0, y),
            x + 33.0,
            y + 4.0,
            escape(&series.name),
            color = color(index),
        );
        x += width;
    }
    Legend { svg, rows }
}

/// The colour of a series; the ninth begins again.
fn color(index: usize) -> String {
    format!("var(--series-{})", index % 8 + 1)
}

/// Dashes tell the second eight series from the first.
fn dashes(index: usize) -> &'static str {
    if index < 8 { "" } else { " stroke-dasharray=\"5 4\"" }
}

/// Circle, square, diamond, triangle, in turn.
fn marker(index: usize, x: f64, y: f64) -> String {
    let polygon = |corners: &[(f64, f64)]| {
        let corners = corners.iter().map(|(dx, dy)| format!("{:.1},{:.1}", x + dx, y + dy));
        format!("<polygon points=\"{}\"/>", corners.collect::<Vec<_>>().join(" "))
    };
    match index % 4 {
        0 => format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.4\"/>"),
        1 => polygon(&[(-3.1, -3.1), (3.1, -3.1), (3.1, 3.1), (-3.1, 3.1)]),
        2 => polygon(&[(0.0, -4.4), (4.4, 0.0), (0.0, 4.4), (-4.4, 0.0)]),
        _ => polygon(&[(0.0, -4.2), (4.0, 3.2), (-4.0, 3.2)]),
    }
}

fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
        (low.min(value), high.max(value))
    })
}

/// A range of one value gets some room on both sides.
fn widen((low, high): (f64, f64)) -> (f64, f64) {
    if high - low > 1e-12 * high.abs().max(low.abs()) {
        return (low, high);
    }
    let room = if low == 0.0 { 1.0 } else { 0.5 * low.abs() };
    (low - room, high + room)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(series: &[(&str, &[[f64; 4]])]) -> Curve {
        let series = series
            .iter()
            .map(|(name, points)| Series { name: (*name).into(), points: points.to_vec() })
            .collect();
        Curve { x_label: "step".into(), y_label: "reward".into(), series }
    }

    #[test]
    fn ticks_are_round_and_cover_the_range() {
        assert_eq!(nice_ticks(0.0, 1.0, 5), [0.0, 0.2, 0.4, 0.6000000000000001, 0.8, 1.0]);
        assert_eq!(nice_ticks(3.0, 97.0, 5), [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]);
        assert_eq!(nice_ticks(-0.4, 0.7, 4), [-0.5, 0.0, 0.5, 1.0]);
        assert_eq!(nice_ticks(0.0, 2500.0, 5), [0.0, 500.0, 1000.0, 1500.0, 2000.0, 2500.0]);
        for (low, high) in [(1e-7, 3e-7), (-1234.0, 17.0), (0.981, 0.994), (1e8, 1e9)] {
            let ticks = nice_ticks(low, high, 5);
            assert!(ticks[0] <= low && ticks[ticks.len() - 1] >= high, "{ticks:?}");
            assert!((2..=8).contains(&ticks.len()), "{ticks:?}");
        }
    }

    #[test]
    fn a_chart_draws_bands_lines_and_tooltips() {
        let with_band = [[0.0, 0.2, 0.1, 0.3], [100.0, 0.8, 0.7, 0.9]];
        let without = [[0.0, 0.1, 0.1, 0.1], [100.0, 0.2, 0.2, 0.2]];
        let svg = line_chart("rewards", &curve(&[("d1", &with_band), ("base", &without)]));
        assert_eq!(svg.matches("<polygon class=\"band\"").count(), 1);
        assert_eq!(svg.matches("<polyline").count(), 2);
        assert_eq!(svg.matches("<title>").count(), 4);
        assert!(svg.contains("<title>d1\n100: 0.8 [0.7, 0.9]</title>"), "{svg}");
        assert!(svg.contains("aria-label=\"rewards: reward against step\""));
    }

    #[test]
    fn long_labels_have_room() {
        let label_x = |top: f64| -> f64 {
            let svg =
                line_chart("x", &curve(&[("a", &[[0.0, 0.0, 0.0, 0.0], [1.0, top, top, top]])]));
            let (_, rest) = svg.split_once("text-anchor=\"end\" x=\"").unwrap_or_default();
            rest.split('"').next().and_then(|x| x.parse().ok()).unwrap_or_default()
        };
        assert_eq!(label_x(1.0), LEFT - 8.0);
        // "6 000 000" is nine characters.
        assert!(label_x(6e6) >= 9.0 * 7.0, "{}", label_x(6e6));
        // "1.5e-5" is six: a little more than there is anyway.
        assert!(label_x(2.2e-5) > LEFT - 8.0);
    }

    #[test]
    fn names_are_escaped() {
        let svg = line_chart("a\"b", &curve(&[("<b>", &[[0.0, 1.0, 1.0, 1.0]])]));
        assert!(!svg.contains("<b>"));
        assert!(svg.contains("&lt;b&gt;"));
        assert!(svg.contains("aria-label=\"a&quot;b:"));
    }

    #[test]
    fn degenerate_data_still_draws() {
        assert!(line_chart("empty", &curve(&[])).contains("no points"));
        assert!(line_chart("empty", &curve(&[("a", &[])])).contains("no points"));
        for value in [0.0, 5.0, -5.0, 1e-9] {
            let svg = line_chart("flat", &curve(&[("a", &[[value, value, value, value]])]));
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
    }

    #[test]
    fn a_long_legend_wraps() {
        let names: Vec<String> = (0..9).map(|i| format!("a rather long name {i}")).collect();
        let point: &[[f64; 4]] = &[[0.0, 1.0, 1.0, 1.0]];
        let series: Vec<(&str, &[[f64; 4]])> =
            names.iter().map(|name| (name.as_str(), point)).collect();
        let chart = curve(&series);
        // A name takes 192 of 560 units: two in a row.
        assert_eq!(legend(&chart.series).rows, 5);
        let svg = line_chart("many", &chart);
        assert!(svg.contains("stroke-dasharray"), "the ninth series must differ from the first");
    }
}
