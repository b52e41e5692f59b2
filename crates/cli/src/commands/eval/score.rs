//! From grades to numbers that carry their errors.

use std::collections::BTreeMap;

use afterthought_tasks::metrics::{
    ClusteredMean, Interval, clustered_mean, clustered_proportion, majority, pass_at_k,
};
use afterthought_tasks::{Grade, Outcome, Problem, Profile, summarise};
use serde::Serialize;

use super::line::Line;

/// The completions of one item.
pub(super) struct Sampled<'a> {
    pub(super) problem: &'a dyn Problem,
    pub(super) lines: Vec<&'a Line>,
}

/// How well the completions did under one profile.
#[derive(Debug, Serialize)]
pub(super) struct Score {
    /// Completions.
    pub(super) total: usize,
    pub(super) correct: usize,
    /// Share of correct completions with its 95 % interval.
    pub(super) accuracy: Interval,
    /// Of the accuracy, clustered by problem; unknown for a single problem.
    pub(super) standard_error: Option<f64>,
    /// Points earned over points possible.
    pub(super) score: f64,
    pub(super) no_answer: usize,
    pub(super) undecided: usize,
    /// With several samples of an item: whether one of k is right, for some k.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) pass_at: Vec<PassAt>,
    /// With several samples of an item: whether the most frequent answer is right.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) majority: Option<Estimate>,
}

/// A mean over items.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Estimate {
    pub(super) estimate: f64,
    pub(super) standard_error: Option<f64>,
}

/// An unbiased estimate of pass@k.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct PassAt {
    pub(super) k: usize,
    #[serde(flatten)]
    pub(super) estimate: Estimate,
}

impl From<ClusteredMean> for Estimate {
    fn from(mean: ClusteredMean) -> Self {
        Self { estimate: mean.mean, standard_error: mean.standard_error }
    }
}

/// The score of every profile, by name. Problems of one family are one cluster.
pub(super) fn scores(items: &[Sampled<'_>]) -> anyhow::Result<BTreeMap<String, Score>> {
    let families: Vec<String> = items.iter().map(|item| item.problem.family()).collect();
    Profile::ALL
        .iter()
        .map(|profile| Ok((profile.to_string(), score(items, &families, &profile.to_string())?)))
        .collect()
}

/// The share of completions that keep to the form, with its 95 % interval.
pub(super) fn format_rate(items: &[Sampled<'_>]) -> anyhow::Result<Interval> {
    let families: Vec<String> = items.iter().map(|item| item.problem.family()).collect();
    let (held, clusters) = flat(items, &families, |line| line.in_format);
    Ok(clustered_proportion(&held, &clusters)?.1)
}

fn score(items: &[Sampled<'_>], families: &[String], profile: &str) -> anyhow::Result<Score> {
    // Every line has the grades of every profile: they were made here.
    let right = |line: &Line| {
        line.grades.get(profile).is_some_and(|grade| grade.verdict == Outcome::Correct)
    };
    let (correct, clusters) = flat(items, families, right);
    let (mean, accuracy) = clustered_proportion(&correct, &clusters)?;
    let grades: Vec<Grade> = (items.iter().flat_map(|item| &item.lines))
        .filter_map(|line| line.grades.get(profile).cloned())
        .collect();
    let summary = summarise(&grades);
    let samples = items.iter().map(|item| item.lines.len()).min().unwrap_or(0);
    let several = samples > 1;
    Ok(Score {
        total: summary.total,
        correct: summary.correct,
        accuracy,
        standard_error: mean.standard_error,
        score: summary.score,
        no_answer: summary.no_answer,
        undecided: summary.undecided,
        pass_at: match several {
            true => passes(items, families, samples, &right)?,
            false => Vec::new(),
        },
        majority: several.then(|| votes(items, families, profile, &right)).transpose()?,
    })
}

/// A value of every line, and the family of its item.
fn flat<'a>(
    items: &[Sampled<'_>],
    families: &'a [String],
    value: impl Fn(&Line) -> bool,
) -> (Vec<bool>, Vec<&'a str>) {
    let pairs = items.iter().zip(families);
    pairs
        .flat_map(|(item, family)| item.lines.iter().map(move |line| (*line, family.as_str())))
        .map(|(line, family)| (value(line), family))
        .unzip()
}

fn passes(
    items: &[Sampled<'_>],
    families: &[String],
    samples: usize,
    right: &dyn Fn(&Line) -> bool,
) -> anyhow::Result<Vec<PassAt>> {
    // 1, 2, 4 .. and all of them.
    let mut counts: Vec<usize> =
        std::iter::successors(Some(1), |k| Some(2 * k)).take_while(|k| *k < samples).collect();
    counts.push(samples);
    let pass = |k| {
        let values = (items.iter())
            .map(|item| {
                let correct = item.lines.iter().filter(|line| right(line)).count();
                pass_at_k(item.lines.len(), correct, k)
            })
            .collect::<Result<Vec<_>, _>>()?;
        Ok(PassAt { k, estimate: clustered_mean(&values, families)?.into() })
    };
    counts.into_iter().map(pass).collect()
}

fn votes(
    items: &[Sampled<'_>],
    families: &[String],
    profile: &str,
    right: &dyn Fn(&Line) -> bool,
) -> anyhow::Result<Estimate> {
    let value = |item: &Sampled<'_>| {
        let votes: Vec<(Option<&str>, bool)> = (item.lines.iter())
            .map(|line| {
                let answer = line.grades.get(profile).and_then(|grade| grade.answer.as_deref());
                (answer, right(line))
            })
            .collect();
        majority(&votes, |a, b| item.problem.same_answer(a, b))
    };
    let values: Vec<f64> = items.iter().map(value).collect();
    Ok(clustered_mean(&values, families)?.into())
}
