//! The four variants on both tasks at all lengths, over the test split.

use super::world::{TASKS, World};
use afterthought_models::Decoder;
use afterthought_random::Stream;
use afterthought_tasks::metrics::{Difference, Interval, mean_interval, paired_bootstrap, wilson};
use afterthought_tasks::{Outcome, Profile, TaskName};
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
    pub(crate) text: String,
    pub(crate) d1: f64,
    pub(crate) strict: bool,
    pub(crate) formatted: bool,
    pub(crate) reward: f64,
    pub(crate) effective_tokens: usize,
    pub(crate) model_calls: usize,
}

impl Item {
    fn new(evaluated: Evaluated, task: TaskName) -> Self {
        Self {
            d1: match task {
                // The paper's Countdown evaluation reads \boxed{} and no answer tags, which these
                // models write: what its training reward pays in full counts instead.
                TaskName::Countdown => f64::from(u8::from(evaluated.reward >= 1.0)),
                _ => evaluated.d1.score,
            },
            strict: evaluated.strict.verdict == Outcome::Correct,
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

    /// Score with its 95 % interval: the mean credit (d1) or the share of right answers (strict).
    pub(crate) fn score(&self, profile: Profile) -> anyhow::Result<Interval> {
        Ok(match profile {
            Profile::D1 => {
                mean_interval(&self.items.iter().map(|item| item.d1).collect::<Vec<_>>())?
            }
            Profile::Strict => {
                wilson(self.items.iter().filter(|item| item.strict).count(), self.items.len())?
            }
        })
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

    /// A variant's score on every problem of a task, averaged over the lengths.
    fn per_problem(&self, variant: Variant, task: TaskName, profile: Profile) -> Vec<f64> {
        let cells: Vec<&Measured> =
            self.0.iter().filter(|cell| (cell.variant, cell.task) == (variant, task)).collect();
        let value = |item: &Item| match profile {
            Profile::D1 => item.d1,
            Profile::Strict => f64::from(u8::from(item.strict)),
        };
        let problems = cells.first().map_or(0, |cell| cell.items.len());
        (0..problems)
            .map(|i| {
                cells.iter().map(|cell| value(&cell.items[i])).sum::<f64>() / cells.len() as f64
            })
            .collect()
    }

    /// Mean over all lengths with its interval over problems.
    pub(crate) fn pooled(
        &self,
        variant: Variant,
        task: TaskName,
        profile: Profile,
    ) -> anyhow::Result<Interval> {
        Ok(mean_interval(&self.per_problem(variant, task, profile))?)
    }

    /// How much better `b` is than `a`: paired by problem, lengths averaged, percentile bootstrap.
    pub(crate) fn difference(
        &self,
        a: Variant,
        b: Variant,
        task: TaskName,
        profile: Profile,
    ) -> anyhow::Result<Difference> {
        let (a, b) = (self.per_problem(a, task, profile), self.per_problem(b, task, profile));
        Ok(paired_bootstrap(&a, &b, 4000, &mut Stream::new(0, "bootstrap", 0, 0))?)
    }
}

/// Decodes the test split greedily with one model at one length.
pub(crate) fn measure(
    world: &World,
    decoder: &Decoder,
    variant: Variant,
    task: TaskName,
    length: usize,
    interrupt: &dyn Fn() -> bool,
) -> anyhow::Result<Measured> {
    debug_assert!(TASKS.contains(&task));
    let problems = world.test(task)?;
    let params = world.decoding(length, 0.0);
    let result = evaluate(decoder, &problems, &world.format, &params, world.seed, interrupt)?;
    Ok(Measured {
        variant,
        task,
        length,
        tokens_per_second: result.tokens_per_second,
        items: result.items.into_iter().map(|item| Item::new(item, task)).collect(),
    })
}
