//! Estimators of the log-probability of a completion under a masked-diffusion model.
//!
//! An estimator only lays out forward passes ([`Pass`]): which canvas to run and which tokens to
//! score on it. The same passes are then run under the policy, the old policy and the reference,
//! so that all three see the same masks.

mod elbo;
mod one_pass;
mod pass;
mod trace_replay;

pub use elbo::{MaskCount, likelihood_passes, log_likelihood};
pub use one_pass::OnePass;
pub(crate) use pass::run_passes_dropping;
pub(crate) use pass::to_host;
pub use pass::{Pass, Scored, log_probs, run_passes};
pub use trace_replay::TraceReplay;

use afterthought_sampling::diffusion::Rollout;

/// Which random masks a call of an estimator sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaskKey {
    /// Seed of the run.
    pub seed: u64,
    /// Rollout step.
    pub step: u64,
    /// Inner update, from 0: each draws a fresh mask.
    pub inner: u64,
    /// Index of the completion in the rollout batch.
    pub sample: u64,
}

/// Which positions of a completion are scored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Up to and including the first EOS (d1).
    #[default]
    ToEos,
    /// The whole window, EOS padding included (Ou et al. 2025, ESPO).
    Window,
}

impl Scope {
    /// Number of leading positions of the completion that are scored.
    pub fn len(self, rollout: &Rollout, eos: u32) -> usize {
        match self {
            Self::ToEos => rollout.completion_len_to_eos(eos),
            Self::Window => rollout.completion.len(),
        }
    }
}

/// Lays out the forward passes from which a completion's log-probability is read. Every scored
/// position appears in exactly one pass.
pub trait LogProbEstimator: Send + Sync {
    /// The passes of one completion.
    fn passes(&self, rollout: &Rollout, eos: u32, key: MaskKey) -> Vec<Pass>;

    /// Whether the estimate is about the order in which tokens were committed. Rollouts must be exact
    /// then: keys and values that are out of date write in the order of another policy.
    fn follows_trace(&self) -> bool;
}
