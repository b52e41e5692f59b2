//! Decodes and grades a set of problems.

use crate::Error;
use crate::prompts::PromptFormat;
use afterthought_models::Decoder;
use afterthought_sampling::PreparedDecoder;
use afterthought_sampling::diffusion::{DiffusionParams, Rollout, SampleKey};
use afterthought_tasks::{Grade, Problem, Profile};
use std::time::Instant;

/// One problem's completion and what it is worth.
#[derive(Clone, Debug)]
pub struct Evaluated {
    /// The completion before its first EOS.
    pub text: String,
    /// Under d1's scoring.
    pub d1: Grade,
    /// Under the strict scoring.
    pub strict: Grade,
    /// Under the forgiving scoring.
    pub flexible: Grade,
    /// The training reward.
    pub reward: f64,
    /// Tokens before the first EOS ("effective tokens").
    pub effective_tokens: usize,
    /// Forward passes.
    pub model_calls: usize,
}

/// Everything measured over a set of problems.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// One entry a problem.
    pub items: Vec<Evaluated>,
    /// Completion tokens decoded a second; EOS filled in behind a finished block is not counted.
    pub tokens_per_second: f64,
}

impl Evaluation {
    /// Grades under one profile.
    pub fn grades(&self, profile: Profile) -> Vec<Grade> {
        let pick = |item: &Evaluated| match profile {
            Profile::D1 => item.d1.clone(),
            Profile::Strict => item.strict.clone(),
            Profile::Flexible => item.flexible.clone(),
        };
        self.items.iter().map(pick).collect()
    }

    /// Mean of a per-item number.
    pub fn mean(&self, value: impl Fn(&Evaluated) -> f64) -> f64 {
        self.items.iter().map(value).sum::<f64>() / self.items.len().max(1) as f64
    }
}

/// Decodes every problem once and grades it in both profiles.
///
/// # Errors
/// [`Error::Empty`] without problems; those of decoding.
pub fn evaluate(
    decoder: &Decoder,
    problems: &[Box<dyn Problem>],
    format: &PromptFormat,
    sampling: &DiffusionParams,
    seed: u64,
    interrupt: &dyn Fn() -> bool,
) -> Result<Evaluation, Error> {
    if problems.is_empty() {
        return Err(Error::Empty("problems"));
    }
    let prompts = problems
        .iter()
        .map(|problem| format.problem(problem.as_ref()))
        .collect::<Result<Vec<_>, _>>()?;
    let samples: Vec<u64> = (0..prompts.len() as u64).collect();
    let key = SampleKey { seed, step: 0, samples: &samples };
    let start = Instant::now();
    let decoder = PreparedDecoder::new(decoder, sampling.cache)?;
    let rollouts = decoder.generate_with(&prompts, sampling, key, &mut |_| {}, interrupt)?;
    let seconds = start.elapsed().as_secs_f64();
    let items = rollouts
        .iter()
        .zip(problems)
        .map(|(rollout, problem)| {
            let text = format.completion(rollout)?;
            Ok(Evaluated {
                d1: problem.grade(&text, Profile::D1),
                strict: problem.grade(&text, Profile::Strict),
                flexible: problem.grade(&text, Profile::Flexible),
                reward: problem.reward(&text),
                effective_tokens: rollout
                    .completion
                    .iter()
                    .position(|id| *id == format.eos)
                    .unwrap_or(rollout.completion.len()),
                model_calls: rollout.model_calls,
                text,
            })
        })
        .collect::<Result<Vec<_>, Error>>()?;
    let decoded = |rollout: &Rollout| rollout.trace.iter().filter(|commit| !commit.filled).count();
    let tokens = rollouts.iter().map(decoded).sum::<usize>() as f64;
    Ok(Evaluation { items, tokens_per_second: tokens / seconds.max(1e-9) })
}
