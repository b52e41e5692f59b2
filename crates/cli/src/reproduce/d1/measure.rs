//! The four variants on both tasks at all lengths, over the test split.

use super::world::World;
use afterthought_models::Decoder;
use afterthought_random::Stream;
use afterthought_tasks::metrics::{Difference, Interval, family_bootstrap, wilson};
use afterthought_tasks::{Outcome, Problem, Profile, TaskName};
use afterthought_training::{Evaluated, evaluate};
use serde::{Deserialize, Serialize};

/// The paper's four rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Variant {
    Base,
    Sft,
    DiffuGrpo,
    D1,
}

impl Variant {
    pub(crate) const ALL: [Self; 4] = [Self::Base, Self::Sft, Self::DiffuGrpo, Self::D1];

    /// Row label, as in the paper's table 1.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::Sft => "+ SFT",
            Self::DiffuGrpo => "+ diffu-GRPO",
            Self::D1 => "+ SFT + diffu-GRPO (d1)",
        }
    }

    /// Name of the variant's model on a task.
    pub(crate) fn model(self, task: TaskName) -> String {
        match self {
            Self::Base => "base".into(),
            Self::Sft => "sft".into(),
            Self::DiffuGrpo => format!("diffu-grpo-{task}"),
            Self::D1 => format!("d1-{task}"),
        }
    }
}

/// One problem as one variant solved it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Item {
    /// Problems of one family are resampled together.
    pub(crate) family: String,
    pub(crate) text: String,
    pub(crate) d1: f64,
    pub(crate) strict: bool,
    pub(crate) flexible: bool,
    pub(crate) formatted: bool,
    pub(crate) reward: f64,
    pub(crate) effective_tokens: usize,
    pub(crate) model_calls: usize,
}

impl Item {
    fn new(evaluated: Evaluated, task: TaskName, family: String) -> Self {
        Self {
            family,
            d1: match task {
                // The paper's Countdown evaluation reads \boxed{} and no answer tags, which these
                // models write: what its training reward pays in full counts instead.
                TaskName::Countdown => f64::from(u8::from(evaluated.reward >= 1.0)),
                _ => evaluated.d1.score,
            },
            strict: evaluated.strict.verdict == Outcome::Correct,
            flexible: evaluated.flexible.verdict == Outcome::Correct,
            formatted: evaluated.strict.verdict != Outcome::NoAnswer,
            reward: evaluated.reward,
            effective_tokens: evaluated.effective_tokens,
            model_calls: evaluated.model_calls,
            text: evaluated.text,
        }
    }
}

/// One cell of the table with its items.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Measured {
    pub(crate) variant: Variant,
    pub(crate) task: TaskName,
    pub(crate) length: usize,
    pub(crate) items: Vec<Item>,
    pub(crate) tokens_per_second: f64,
}

impl Measured {
    pub(crate) fn mean(&self, value: impl Fn(&Item) -> f64) -> f64 {
        self.items.iter().map(value).sum::<f64>() / self.items.len().max(1) as f64
    }

    /// Score with its 95 % interval: the mean credit (d1) or the share of right answers (the others).
    pub(crate) fn score(&self, profile: Profile) -> anyhow::Result<Interval> {
        let values: Vec<f64> = self.items.iter().map(|item| item.score(profile)).collect();
        interval(&values, &families(&self.items))
    }
}

impl Item {
    fn score(&self, profile: Profile) -> f64 {
        match profile {
            Profile::D1 => self.d1,
            Profile::Strict => f64::from(u8::from(self.strict)),
            Profile::Flexible => f64::from(u8::from(self.flexible)),
        }
    }
}

fn families(items: &[Item]) -> Vec<&str> {
    items.iter().map(|item| item.family.as_str()).collect()
}

/// Resamples of every bootstrap.
const RESAMPLES: usize = 4000;

fn bootstrap(values: &[f64], families: &[&str]) -> anyhow::Result<Difference> {
    Ok(family_bootstrap(values, families, RESAMPLES, &mut Stream::new(0, "bootstrap", 0, 0))?)
}

/// Mean of scores in [0, 1] with its interval over families. Where all scores are 0 or all are 1
/// there is nothing to resample: Wilson's interval with one trial a family says how sure that is.
fn interval(values: &[f64], families: &[&str]) -> anyhow::Result<Interval> {
    let constant = |value: f64| values.iter().all(|other| *other == value);
    let trials = families.iter().collect::<std::collections::BTreeSet<_>>().len();
    match (constant(0.0), constant(1.0)) {
        (true, _) => Ok(wilson(0, trials)?),
        (_, true) => Ok(wilson(trials, trials)?),
        _ => Ok(bootstrap(values, families)?.interval),
    }
}

/// All cells.
pub(crate) struct Results(pub(crate) Vec<Measured>);

impl Results {
    pub(crate) fn cell(
        &self,
        variant: Variant,
        task: TaskName,
        length: usize,
    ) -> Option<&Measured> {
        self.0.iter().find(|cell| (cell.variant, cell.task, cell.length) == (variant, task, length))
    }

    /// A variant's score on every problem of a task, averaged over the lengths, and the problems'
    /// families.
    fn per_problem(
        &self,
        variant: Variant,
        task: TaskName,
        profile: Profile,
    ) -> (Vec<f64>, Vec<&str>) {
        let cells: Vec<&Measured> =
            self.0.iter().filter(|cell| (cell.variant, cell.task) == (variant, task)).collect();
        let families = cells.first().map_or_else(Vec::new, |cell| families(&cell.items));
        let average = |index: usize| {
            cells.iter().map(|cell| cell.items[index].score(profile)).sum::<f64>()
                / cells.len() as f64
        };
        ((0..families.len()).map(average).collect(), families)
    }

    /// Mean over all lengths with its interval.
    pub(crate) fn pooled(
        &self,
        variant: Variant,
        task: TaskName,
        profile: Profile,
    ) -> anyhow::Result<Interval> {
        let (values, families) = self.per_problem(variant, task, profile);
        interval(&values, &families)
    }

    /// How much better `b` is than `a`: paired by problem, lengths averaged, families resampled.
    pub(crate) fn difference(
        &self,
        a: Variant,
        b: Variant,
        task: TaskName,
        profile: Profile,
    ) -> anyhow::Result<Difference> {
        let (a, families) = self.per_problem(a, task, profile);
        let (b, _) = self.per_problem(b, task, profile);
        let differences: Vec<f64> = a.iter().zip(&b).map(|(a, b)| b - a).collect();
        bootstrap(&differences, &families)
    }
}

/// Decodes a task's test problems greedily with one model at one length.
pub(crate) fn measure(
    world: &World,
    decoder: &Decoder,
    problems: &[Box<dyn Problem>],
    (variant, task, length): (Variant, TaskName, usize),
    interrupt: &dyn Fn() -> bool,
) -> anyhow::Result<Measured> {
    let params = world.decoding(length, 0.0);
    let result = evaluate(decoder, problems, &world.format, &params, world.seed, interrupt)?;
    Ok(Measured {
        variant,
        task,
        length,
        tokens_per_second: result.tokens_per_second,
        items: result
            .items
            .into_iter()
            .zip(problems)
            .map(|(item, problem)| Item::new(item, task, problem.family()))
            .collect(),
    })
}
