//! The result: what `--json` prints, and the table for people.

use std::collections::BTreeMap;

use afterthought_tasks::TaskName;
use afterthought_tasks::metrics::Interval;
use serde::Serialize;
use serde_json::Value;

use super::score::{Estimate, Score};
use crate::commands::adapter::Adapter;
use crate::commands::decoding_plan::Settings;
use crate::console::table;

/// What `--json` prints.
#[derive(Debug, Serialize)]
pub(super) struct Document {
    pub(super) task: TaskName,
    pub(super) model: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) adapter: Option<Adapter>,
    /// The file, or the part of a generated task.
    pub(super) data: String,
    pub(super) prompt: Value,
    pub(super) sampling: Settings,
    pub(super) items: usize,
    /// Completions of each item.
    pub(super) samples: usize,
    /// By profile.
    pub(super) profiles: BTreeMap<String, Score>,
    /// Share of completions in the form that the prompt asks for.
    pub(super) format_rate: Interval,
    /// Completions that were cut at the most tokens.
    pub(super) truncated: usize,
    /// Mean tokens of a completion.
    pub(super) mean_tokens: f64,
    /// Completions that an earlier run had decoded.
    pub(super) resumed: usize,
    /// Of decoding, in this run.
    pub(super) seconds: f64,
}

impl Document {
    /// A table with a row for each profile and a line on what they have in common.
    pub(super) fn overview(&self) -> String {
        let mut header = vec![
            "task",
            "profile",
            "graded",
            "correct",
            "accuracy",
            "95 % interval",
            "std. error",
            "score",
            "no answer",
            "undecided",
        ];
        let last = self.profiles.values().next().and_then(|score| score.pass_at.last());
        let pass = last.map(|pass| format!("pass@{}", pass.k));
        if let Some(pass) = &pass {
            header.extend([pass.as_str(), "majority"]);
        }
        let mut table = table(&header);
        for (profile, score) in &self.profiles {
            let Interval { estimate, low, high } = score.accuracy;
            let mut row = vec![
                self.task.to_string(),
                profile.clone(),
                score.total.to_string(),
                score.correct.to_string(),
                percent(estimate),
                format!("{:.1}–{:.1} %", 100.0 * low, 100.0 * high),
                score.standard_error.map_or("–".to_owned(), percent),
                percent(score.score),
                score.no_answer.to_string(),
                score.undecided.to_string(),
            ];
            if let (Some(pass), Some(majority)) = (score.pass_at.last(), &score.majority) {
                row.extend([with_error(&pass.estimate), with_error(majority)]);
            }
            table.add_row(row);
        }
        let adapter = match &self.adapter {
            Some(adapter) => format!("\nwith the adapter {}", adapter.directory.display()),
            None => String::new(),
        };
        format!(
            "{}\n{} in the format asked for, {} cut short, {:.1} tokens a completion{adapter}",
            table.trim_fmt(),
            percent(self.format_rate.estimate),
            self.truncated,
            self.mean_tokens
        )
    }
}

fn percent(share: f64) -> String {
    format!("{:.2} %", 100.0 * share)
}

fn with_error(estimate: &Estimate) -> String {
    match estimate.standard_error {
        Some(error) => format!("{:.2} ± {:.2} %", 100.0 * estimate.estimate, 100.0 * error),
        None => percent(estimate.estimate),
    }
}
