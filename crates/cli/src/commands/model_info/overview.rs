//! The description for people: a table of facts and one of parameters.

use crate::console::table;

/// Facts by name, then parameters by what they are for, of which the last row is the total.
pub(super) fn overview(
    model: &str,
    facts: &[(&str, String)],
    parameters: &[(&str, usize)],
) -> String {
    let mut facts_table = table(&["model", model]);
    for (name, value) in facts {
        facts_table.add_row([*name, value]);
    }
    let mut parts = table(&["part", "parameters", "share"]);
    let total = parameters.last().map_or(1, |(_, total)| *total).max(1) as f64;
    for (name, count) in parameters {
        let share = format!("{:.1} %", 100.0 * *count as f64 / total);
        parts.add_row([(*name).to_owned(), count.to_string(), share]);
    }
    format!("{}\n\n{}", facts_table.trim_fmt(), parts.trim_fmt())
}
