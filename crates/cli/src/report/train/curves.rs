use afterthought_runs::log::History;

use super::thinned::{step_label, thinned};
use crate::report::document::{Curve, Series};
use crate::report::named::Named;

/// A chart: what it shows, and which metrics are drawn in it.
struct Chart {
    title: &'static str,
    y_label: &'static str,
    takes: fn(&str) -> bool,
}

/// Charts in reading order; a metric goes into the first that takes it. Loss and gradient come late:
/// in reinforcement learning they say less than rewards.
const CHARTS: &[Chart] = &[
    Chart {
        title: "reward",
        y_label: "mean reward",
        takes: |m| ["reward", "eval_reward"].contains(&m),
    },
    Chart {
        title: "rewards by part",
        y_label: "mean of each part, without weights",
        takes: |m| is_part(m) && m.ends_with("/mean"),
    },
    Chart { title: "loss", y_label: "", takes: |m| ["loss", "eval_loss"].contains(&m) },
    Chart {
        title: "completion length",
        y_label: "tokens",
        takes: |m| m.starts_with("completions/") && m.ends_with("_length"),
    },
    Chart {
        title: "cut off and without a signal",
        y_label: "fraction",
        takes: |m| ["completions/clipped_ratio", "frac_reward_zero_std"].contains(&m),
    },
    Chart {
        title: "spread of rewards",
        y_label: "standard deviation",
        takes: |m| m == "reward_std" || is_part(m) && m.ends_with("/std"),
    },
    Chart {
        title: "rewards that were not given",
        y_label: "completions",
        takes: |m| m == "completions/unrewarded" || is_part(m) && !m.ends_with("/mean"),
    },
    Chart {
        title: "distance from the reference",
        y_label: "kl, nats per token",
        takes: |m| m == "kl",
    },
    Chart { title: "entropy", y_label: "nats per token", takes: |m| m == "entropy" },
    Chart {
        title: "clipped ratios",
        y_label: "fraction of tokens",
        takes: |m| m == "clip_ratio" || m.starts_with("clip_ratio/"),
    },
    Chart { title: "gradient norm", y_label: "before clipping", takes: |m| m == "grad_norm" },
    Chart { title: "learning rate", y_label: "", takes: |m| m == "learning_rate" },
    Chart { title: "time of a step", y_label: "seconds", takes: |m| m == "step_time" },
];

/// Whether a metric is about one of several rewards.
fn is_part(metric: &str) -> bool {
    metric.strip_prefix("eval_").unwrap_or(metric).starts_with("rewards/")
}

/// Every metric that was logged more than once, in a chart.
pub(super) fn curves(history: &History) -> Named<Curve> {
    let mut curves = Named::default();
    let mut names = history.names();
    names.retain(|name| history.series(name).len() > 1);
    for chart in CHARTS {
        let taken: Vec<&str> = names.extract_if(.., |name| (chart.takes)(name)).collect();
        if !taken.is_empty() {
            curves.insert(chart.title, curve(history, &taken, chart.y_label));
        }
    }
    // Metrics that no chart knows have one each.
    for name in names {
        curves.insert(name, curve(history, &[name], ""));
    }
    curves
}

fn curve(history: &History, names: &[&str], y_label: &str) -> Curve {
    let series = names.iter().map(|name| Series {
        // A single line needs no legend: the title names it.
        name: if names.len() == 1 { String::new() } else { (*name).to_owned() },
        points: thinned(&history.series(name)),
    });
    let longest = names.iter().map(|name| history.series(name).len()).max().unwrap_or_default();
    Curve { x_label: step_label(longest), y_label: y_label.to_owned(), series: series.collect() }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_is_drawn_once_and_what_was_logged_once_is_not() {
        let run = tempfile::tempdir().unwrap();
        let names = [
            "reward",
            "eval_reward",
            "rewards/a/mean",
            "eval_rewards/a/mean",
            "rewards/a/std",
            "rewards/a/failures",
            "loss",
            "brand_new",
            "completions/mean_length",
        ];
        let line = |step: u64| {
            let values = names.map(|name| format!("\"{name}\":{step}.5")).join(",");
            format!("{{\"step\":{step},{values}}}\n")
        };
        let text = line(1) + &line(2) + "{\"step\":3,\"once\":1}\n";
        std::fs::write(run.path().join("metrics.jsonl"), text).unwrap();
        let curves = curves(&History::read(run.path()).unwrap());
        let drawn: Vec<(&str, Vec<&str>)> = curves
            .iter()
            .map(|(title, curve)| (title, curve.series.iter().map(|s| s.name.as_str()).collect()))
            .collect();
        let expected = [
            ("reward", vec!["reward", "eval_reward"]),
            ("rewards by part", vec!["rewards/a/mean", "eval_rewards/a/mean"]),
            ("loss", vec![""]),
            ("completion length", vec![""]),
            ("spread of rewards", vec![""]),
            ("rewards that were not given", vec![""]),
            ("brand_new", vec![""]),
        ];
        assert_eq!(drawn, expected);
    }
}
