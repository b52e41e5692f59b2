use afterthought_runs::log::{Better, History};

use crate::report::document::{Cell, Table};
use crate::report::named::Named;

/// The table of all metrics: where each began, where it ended, and where it was best.
pub(super) fn numbers(history: &History) -> Named<Table> {
    let mut tables = Named::default();
    if history.lines().is_empty() {
        return tables;
    }
    let columns = ["metric", "first", "last", "at step", "better", "best", "at step of best"];
    let mut table = Table {
        columns: columns.map(str::to_owned).to_vec(),
        caption: Some(
            "First, last and best values; the best is the best logged, not a choice.".into(),
        ),
        ..Table::default()
    };
    let mut metrics = history.last();
    // What was to get better comes first.
    metrics.sort_by_key(|(name, _, _)| history.better(name).is_none());
    for (name, step, last) in metrics {
        let first = history.series(name).first().map(|(_, value)| *value);
        let best = history.best(name);
        let better = match history.better(name) {
            Some(Better::Higher) => "higher".into(),
            Some(Better::Lower) => "lower".into(),
            None => Cell::Missing,
        };
        table.rows.push(vec![
            name.into(),
            first.map_or(Cell::Missing, Cell::Number),
            Cell::Number(last),
            count(step),
            better,
            best.map_or(Cell::Missing, |(_, value)| Cell::Number(value)),
            best.map_or(Cell::Missing, |(step, _)| count(step)),
        ]);
    }
    tables.insert("numbers", table);
    tables
}

fn count(step: u64) -> Cell {
    i64::try_from(step).map_or(Cell::Number(step as f64), Cell::Count)
}
