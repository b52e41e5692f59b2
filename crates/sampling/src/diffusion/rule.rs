use super::params::ParamsError;
use super::schedule::transfer_schedule;
use super::select::{above_threshold, by_factor, most_confident};

/// How many predictions a denoising step commits, the most confident first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum CommitRule {
    /// As many as [`transfer_schedule`] says, whatever the confidences.
    Schedule {
        /// Denoising steps over all blocks; a multiple of the number of blocks, at most
        /// `gen_length`.
        steps: usize,
    },
    /// Every position of the block whose confidence is at least this, and at least one, so that a
    /// block takes as many steps as it needs (Fast-dLLM, arXiv:2505.22618). Above 1: one a step.
    Threshold(f32),
    /// The largest number `n` of positions for which `(n + 1) (1 - c_n)` stays below this factor,
    /// where `c_n` is the `n`-th highest confidence of the block; at least one (Fast-dLLM). With
    /// factors up to 1 and exact conditionals, committing them at once writes the same tokens as
    /// committing them greedily one after the other. 0: one a step.
    Factor(f32),
}

impl CommitRule {
    /// Denoising steps over all blocks, where they are known beforehand.
    pub fn steps(self) -> Option<usize> {
        match self {
            Self::Schedule { steps } => Some(steps),
            Self::Threshold(_) | Self::Factor(_) => None,
        }
    }

    /// Indices of the confidences of a block's masked positions that its step `step` commits.
    pub(super) fn keep(
        self,
        confidences: &[f64],
        step: usize,
        (block_length, blocks): (usize, usize),
    ) -> Vec<usize> {
        match self {
            Self::Schedule { steps } => {
                let schedule = transfer_schedule(block_length, steps / blocks);
                most_confident(confidences, schedule[step])
            }
            Self::Threshold(threshold) => above_threshold(confidences, threshold.into()),
            Self::Factor(factor) => by_factor(confidences, factor.into()),
        }
    }

    pub(super) fn check(self, gen_length: usize, blocks: usize) -> Result<(), ParamsError> {
        let number = |name, value: f32| match value.is_finite() && value >= 0.0 {
            true => Ok(()),
            false => Err(ParamsError::Number { name, value: value.into() }),
        };
        match self {
            Self::Schedule { steps: 0 } => Err(ParamsError::Zero { name: "steps" }),
            Self::Schedule { steps } if steps % blocks != 0 => {
                Err(ParamsError::StepsOfBlocks { steps, blocks })
            }
            Self::Schedule { steps } if steps > gen_length => {
                Err(ParamsError::TooManySteps { steps, gen_length })
            }
            Self::Schedule { .. } => Ok(()),
            Self::Threshold(threshold) => number("threshold", threshold),
            Self::Factor(factor) => number("factor", factor),
        }
    }
}
