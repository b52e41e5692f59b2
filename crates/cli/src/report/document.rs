//! The document that `report.json` holds, schema `afterthought.report/1`.

use afterthought_tasks::metrics::Interval;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::machine::Machine;
use super::named::Named;

/// The schema that this file writes.
const SCHEMA: &str = "afterthought.report/1";

/// The result of one command.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    /// Always `afterthought.report/1`.
    pub(crate) schema: String,
    /// The command, such as `reproduce d1`.
    pub(crate) command: String,
    /// Seed of every random stream.
    pub(crate) seed: u64,
    /// The preset's name.
    pub(crate) preset: String,
    /// Where it ran.
    pub(crate) machine: Machine,
    /// Wall-clock seconds.
    pub(crate) elapsed_s: f64,
    /// Tables in reading order.
    pub(crate) tables: Named<Table>,
    /// Statements that were tested, in reading order.
    pub(crate) claims: Vec<Claim>,
    /// Everything dropped, truncated, skipped or not measured, each in a sentence.
    pub(crate) warnings: Vec<String>,
    /// Facts of the run for the head of the page, instead of the preset.
    #[serde(default, skip_serializing_if = "Named::is_empty")]
    pub(crate) facts: Named<String>,
    /// Numbers that look alarming and are not, each in a sentence.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) hints: Vec<String>,
    /// One sentence under the page's title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) summary: Option<String>,
    /// Plots in reading order.
    #[serde(default, skip_serializing_if = "Named::is_empty")]
    pub(crate) curves: Named<Curve>,
    /// Model outputs worth reading; those with one title are shown side by side.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) samples: Vec<Sample>,
    /// The resolved settings of the run.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub(crate) recipe: Map<String, Value>,
}

/// A table: every row has one cell for each column.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Table {
    /// Column headings.
    pub(crate) columns: Vec<String>,
    /// Rows of cells.
    pub(crate) rows: Vec<Vec<Cell>>,
    /// What the table shows, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) caption: Option<String>,
    /// Columns in which one direction is better: their best cell is set in bold.
    #[serde(default, skip_serializing_if = "Named::is_empty")]
    pub(crate) better: Named<Better>,
    /// How the numbers of a column are shown; the numbers in the document stay as measured.
    #[serde(default, skip_serializing_if = "Named::is_empty")]
    pub(crate) units: Named<Unit>,
}

/// Which end of a column is the good one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Better {
    /// Accuracy, reward.
    Higher,
    /// Loss, seconds.
    Lower,
}

/// How numbers are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Unit {
    /// A fraction shown as a percentage: 0.813 is 81.3.
    Percent,
    /// Seconds shown as a duration: 83 is 1:23.
    Seconds,
}

/// One cell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Cell {
    /// A count.
    Count(i64),
    /// A number.
    Number(f64),
    /// A label.
    Text(String),
    /// A measured value with its interval.
    Estimate {
        /// The point estimate.
        value: f64,
        /// Lower end of the interval.
        low: f64,
        /// Upper end of the interval.
        high: f64,
    },
    /// Not measured: `null`.
    Missing,
}

impl From<f64> for Cell {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

impl From<Interval> for Cell {
    fn from(interval: Interval) -> Self {
        let Interval { estimate, low, high } = interval;
        Self::Estimate { value: estimate, low, high }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// A statement and whether what was measured supports it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Claim {
    /// A short stable name.
    pub(crate) id: String,
    /// The statement, in a sentence.
    pub(crate) statement: String,
    /// Whether it holds.
    pub(crate) holds: bool,
    /// The numbers that decide it.
    pub(crate) evidence: Map<String, Value>,
}

/// A plot of one or more lines.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Curve {
    /// Label of the horizontal axis.
    pub(crate) x_label: String,
    /// Label of the vertical axis.
    pub(crate) y_label: String,
    /// The lines.
    pub(crate) series: Vec<Series>,
}

/// A line of a plot.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Series {
    /// Its name in the legend.
    pub(crate) name: String,
    /// `[x, y, low, high]`; without an interval, low and high equal y.
    pub(crate) points: Vec<[f64; 4]>,
}

/// A prompt and what one variant of the model answered.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Sample {
    /// What the sample shows; samples that share a title share a prompt.
    pub(crate) title: String,
    /// The model's name: `base`, `sft`, `d1`.
    pub(crate) variant: String,
    /// What the model was given.
    pub(crate) prompt: String,
    /// What it wrote.
    pub(crate) text: String,
    /// The task's reward.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reward: Option<f64>,
    /// Anything else worth showing: the answer, the verdict.
    #[serde(flatten)]
    pub(crate) more: Map<String, Value>,
}

impl Report {
    /// An empty report of a command on this machine.
    pub(crate) fn new(command: &str, preset: &str, seed: u64) -> Self {
        Self {
            schema: SCHEMA.to_owned(),
            command: command.to_owned(),
            seed,
            preset: preset.to_owned(),
            machine: Machine::detect(),
            elapsed_s: 0.0,
            tables: Named::default(),
            claims: Vec::new(),
            warnings: Vec::new(),
            facts: Named::default(),
            hints: Vec::new(),
            summary: None,
            curves: Named::default(),
            samples: Vec::new(),
            recipe: Map::new(),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_document_has_the_keys_of_the_schema() {
        let mut report = Report::new("reproduce d1", "smoke", 7);
        let mut table = Table { columns: vec!["model".into(), "exact".into()], ..Table::default() };
        let estimate = Cell::from(Interval { estimate: 0.5, low: 0.4, high: 0.6 });
        table.rows = vec![
            vec!["base".into(), estimate],
            vec!["sft".into(), Cell::Missing],
            vec!["d1".into(), Cell::Count(3)],
        ];
        report.tables.insert("main", table);
        report.claims.push(Claim {
            id: "sft-helps".into(),
            statement: "SFT beats the base model.".into(),
            holds: false,
            evidence: Map::new(),
        });
        let value = serde_json::to_value(&report).unwrap();
        let keys: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(
            keys,
            [
                "schema",
                "command",
                "seed",
                "preset",
                "machine",
                "elapsed_s",
                "tables",
                "claims",
                "warnings"
            ]
        );
        assert_eq!(value["schema"], "afterthought.report/1");
        assert_eq!(value["tables"]["main"]["columns"], json!(["model", "exact"]));
        assert_eq!(
            value["tables"]["main"]["rows"],
            json!([["base", {"value": 0.5, "low": 0.4, "high": 0.6}], ["sft", null], ["d1", 3]])
        );
        assert_eq!(
            value["claims"][0],
            json!({"id": "sft-helps", "statement": "SFT beats the base model.", "holds": false,
                   "evidence": {}})
        );
    }

    #[test]
    fn optional_parts_appear_when_filled_and_read_back() {
        let mut report = Report::new("reproduce d1", "smoke", 7);
        let series = Series { name: "d1".into(), points: vec![[0.0, 0.5, 0.4, 0.6]] };
        let curve =
            Curve { x_label: "step".into(), y_label: "reward".into(), series: vec![series] };
        report.curves.insert("rewards", curve);
        let mut more = Map::new();
        more.insert("verdict".into(), json!("wrong"));
        report.samples.push(Sample { title: "a".into(), more, ..Sample::default() });
        let text = serde_json::to_string(&report).unwrap();
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            value["curves"]["rewards"]["series"][0]["points"],
            json!([[0.0, 0.5, 0.4, 0.6]])
        );
        assert_eq!(value["samples"][0]["verdict"], "wrong");
        let back: Report = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_string(&back).unwrap(), text);
    }
}
