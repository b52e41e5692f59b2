use serde::{Deserialize, Serialize};

/// Estimators of the divergence from the reference, per token, from log-probabilities only
/// (Schulman 2020, "Approximating KL divergence").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kl {
    /// No penalty.
    None,
    /// `-d` with `d = log p_ref - log p`: unbiased, may be negative.
    K1,
    /// `d^2 / 2`: biased, its gradient is the true one.
    K2,
    /// `exp(d) - d - 1`: unbiased, never negative (d1).
    #[default]
    K3,
}

/// Value of the estimate and its derivative by the policy's log-probability.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KlEstimate {
    /// Nats.
    pub value: f64,
    /// `d value / d log p`.
    pub slope: f64,
}

impl Kl {
    /// For one token with log-probability `log_prob` under the policy and `reference` under the
    /// reference.
    pub fn estimate(self, log_prob: f64, reference: f64) -> KlEstimate {
        let d = reference - log_prob;
        let (value, slope) = match self {
            Self::None => (0.0, 0.0),
            Self::K1 => (-d, 1.0),
            Self::K2 => (0.5 * d * d, -d),
            Self::K3 => (d.exp() - d - 1.0, 1.0 - d.exp()),
        };
        KlEstimate { value, slope }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slopes_are_derivatives_and_k1_k3_are_unbiased() {
        for kl in [Kl::None, Kl::K1, Kl::K2, Kl::K3] {
            for (p, r) in [(-0.3, -0.5), (-2.0, -0.1), (-1.0, -1.0)] {
                let step = 1e-6;
                let difference = (kl.estimate(p + step, r).value - kl.estimate(p - step, r).value)
                    / (2.0 * step);
                assert!((kl.estimate(p, r).slope - difference).abs() < 1e-6);
            }
            assert_eq!(kl.estimate(-1.0, -1.0).value, 0.0);
        }
        // Expectation over a three-token policy equals KL(p || ref).
        let (p, reference) = ([0.5f64, 0.3, 0.2], [0.2f64, 0.5, 0.3]);
        let exact: f64 = p.iter().zip(&reference).map(|(p, r)| p * (p / r).ln()).sum();
        for kl in [Kl::K1, Kl::K3] {
            let mean: f64 =
                p.iter().zip(&reference).map(|(p, r)| p * kl.estimate(p.ln(), r.ln()).value).sum();
            assert!((mean - exact).abs() < 1e-12);
        }
    }
}
