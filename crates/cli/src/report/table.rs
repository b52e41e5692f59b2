//! One table of the report as HTML.

use std::fmt::Write;

use super::document::{Better, Cell, Table, Unit};
use super::escape::escape;
use super::number::{count, show};

/// A table with its caption. Numbers are right-aligned, the best of a column is bold, and an
/// estimate carries its interval in figures and as a strip on a scale shared by its column.
pub(super) fn table(name: &str, table: &Table) -> String {
    let columns: Vec<Column> = (0..table.columns.len()).map(|i| Column::of(table, i)).collect();
    let mut html = format!(
        "<figure class=\"table\"><figcaption><b>{}</b> {}</figcaption>\
         <div class=\"scroll\"><table><thead><tr>",
        escape(&name.replace('_', " ")),
        escape(table.caption.as_deref().unwrap_or_default())
    );
    // Writing to a String cannot fail, here and below.
    for (heading, column) in table.columns.iter().zip(&columns) {
        let percent = if column.unit == Some(Unit::Percent) { " <small>%</small>" } else { "" };
        let arrow = match column.better {
            Some(Better::Higher) => " <small title=\"higher is better\">↑</small>",
            Some(Better::Lower) => " <small title=\"lower is better\">↓</small>",
            None => "",
        };
        let class = if column.numeric { " class=\"number\"" } else { "" };
        let _ = write!(html, "<th scope=\"col\"{class}>{}{percent}{arrow}</th>", escape(heading));
    }
    html.push_str("</tr></thead><tbody>");
    for cells in &table.rows {
        html.push_str("<tr>");
        for (index, (cell, column)) in cells.iter().zip(&columns).enumerate() {
            column.cell(&mut html, cell, index == 0);
        }
        html.push_str("</tr>");
    }
    html.push_str("</tbody></table></div></figure>\n");
    html
}

/// What the cells of a column have in common.
struct Column {
    unit: Option<Unit>,
    better: Option<Better>,
    numeric: bool,
    best: Option<f64>,
    /// Ends of all intervals: the scale of the strips.
    scale: Option<(f64, f64)>,
}

impl Column {
    fn of(table: &Table, index: usize) -> Self {
        let name = table.columns.get(index).map_or("", String::as_str);
        let cells = || table.rows.iter().filter_map(|row| row.get(index));
        let better = table.better.get(name).copied();
        let best = better.and_then(|better| {
            let mut best = cells().filter_map(value).reduce(match better {
                Better::Higher => f64::max,
                Better::Lower => f64::min,
            });
            // With one number there is nothing to be better than.
            if cells().filter_map(value).count() < 2 {
                best = None;
            }
            best
        });
        let scale = cells()
            .filter_map(|cell| match cell {
                Cell::Estimate { low, high, .. } => Some((*low, *high)),
                _ => None,
            })
            .reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
            .filter(|(low, high)| low < high);
        let numeric = cells().any(|cell| value(cell).is_some());
        Self { unit: table.units.get(name).copied(), better, numeric, best, scale }
    }

    fn cell(&self, html: &mut String, cell: &Cell, first: bool) {
        let text = match cell {
            Cell::Text(text) if first => {
                let _ = write!(html, "<th scope=\"row\">{}</th>", escape(text));
                return;
            }
            Cell::Text(text) => escape(text),
            Cell::Missing => "<span class=\"missing\" title=\"not measured\">–</span>".to_owned(),
            Cell::Count(number) if self.unit.is_none() => self.emphasise(cell, count(*number)),
            Cell::Count(number) => self.emphasise(cell, show(*number as f64, self.unit)),
            Cell::Number(number) => self.emphasise(cell, show(*number, self.unit)),
            Cell::Estimate { value, low, high } => format!(
                "{} <span class=\"interval\">{}{}{}</span>{}",
                self.emphasise(cell, show(*value, self.unit)),
                show(*low, self.unit),
                // A dash beside a minus sign is hard to read.
                if *low < 0.0 { " to " } else { "–" },
                show(*high, self.unit),
                self.strip(*value, *low, *high)
            ),
        };
        let class = if self.numeric { " class=\"number\"" } else { "" };
        let _ = write!(html, "<td{class}>{text}</td>");
    }

    fn emphasise(&self, cell: &Cell, text: String) -> String {
        match value(cell) {
            Some(value) if Some(value) == self.best => format!("<strong>{text}</strong>"),
            _ => text,
        }
    }

    /// The interval as a line and the estimate as a dot.
    fn strip(&self, value: f64, low: f64, high: f64) -> String {
        let Some((left, right)) = self.scale else {
            return String::new();
        };
        let place = |number: f64| (100.0 * (number - left) / (right - left)).clamp(0.0, 100.0);
        format!(
            "<span class=\"strip\" aria-hidden=\"true\"><i style=\"left:{:.1}%;width:{:.1}%\"></i>\
             <b style=\"left:{:.1}%\"></b></span>",
            place(low),
            place(high) - place(low),
            place(value)
        )
    }
}

/// The number that a cell is compared by.
fn value(cell: &Cell) -> Option<f64> {
    match cell {
        Cell::Count(number) => Some(*number as f64),
        Cell::Number(number) => Some(*number),
        Cell::Estimate { value, .. } => Some(*value),
        Cell::Text(_) | Cell::Missing => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Table {
        let mut table = Table {
            columns: vec!["model".into(), "exact".into(), "loss".into()],
            rows: vec![
                vec!["base".into(), estimate(0.5), Cell::Number(0.9)],
                vec!["<sft>".into(), estimate(0.8), Cell::Number(0.7)],
                vec!["rl".into(), Cell::Missing, Cell::Missing],
            ],
            ..Table::default()
        };
        table.better.insert("exact", Better::Higher);
        table.better.insert("loss", Better::Lower);
        table.units.insert("exact", Unit::Percent);
        table
    }

    fn estimate(value: f64) -> Cell {
        Cell::Estimate { value, low: value - 0.1, high: value + 0.1 }
    }

    #[test]
    fn the_best_of_each_column_is_bold() {
        let html = table("main", &example());
        assert!(html.contains("<strong>80.0</strong> <span class=\"interval\">70.0–90.0</span>"));
        assert!(html.contains("<strong>0.7</strong>"));
        assert_eq!(html.matches("<strong>").count(), 2);
    }

    #[test]
    fn labels_are_escaped_and_gaps_are_marked() {
        let html = table("a<b", &example());
        assert!(html.contains("<th scope=\"row\">&lt;sft&gt;</th>"));
        assert!(html.contains("<b>a&lt;b</b>"));
        assert_eq!(html.matches("not measured").count(), 2);
    }

    #[test]
    fn strips_share_the_scale_of_their_column() {
        let html = table("main", &example());
        // The column spans 0.4..0.9: the first interval is its first 40 %, the second its last.
        assert!(html.contains("left:0.0%;width:40.0%"), "{html}");
        assert!(html.contains("left:60.0%;width:40.0%"), "{html}");
    }

    #[test]
    fn a_single_number_is_not_the_best_of_anything() {
        let mut single = example();
        single.rows.truncate(1);
        assert!(!table("main", &single).contains("<strong>"));
    }
}
