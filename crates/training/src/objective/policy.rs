use super::{Kl, Normalisation};

/// One scored token of one completion.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TokenTerm {
    /// Index of the completion in the batch.
    pub completion: usize,
    /// Log-probability under the policy being trained.
    pub log_prob: f64,
    /// Under the policy that produced the rollout, estimated with the same masks.
    pub old: f64,
    /// Under the reference, estimated with the same masks; ignored without a KL term.
    pub reference: f64,
}

/// Settings of the clipped policy objective.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PolicyOptions {
    /// `epsilon`: the ratio counts only within `[1 - epsilon, 1 + epsilon]`.
    pub clip: f64,
    /// `beta`, the weight of the divergence from the reference.
    pub beta: f64,
    /// Which estimate of the divergence.
    pub kl: Kl,
    /// How token losses are averaged.
    pub normalisation: Normalisation,
}

/// Value, gradient and diagnostics of the objective.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicyLoss {
    /// To be minimised.
    pub loss: f64,
    /// `d loss / d log_prob` of each term.
    pub coefficients: Vec<f64>,
    /// Mean divergence from the reference, nats a token.
    pub kl: f64,
    /// Share of tokens whose clipped ratio decides, so that they get no policy gradient.
    pub clip_fraction: f64,
    /// Mean of the ratio to the old policy.
    pub mean_ratio: f64,
}

/// `-mean[ min(rho A, clip(rho, 1 - eps, 1 + eps) A) - beta KL ]` with `rho = p / p_old` a token
/// (d1 equation 4; Schulman et al. 2017 equation 7).
///
/// `advantages`: one a completion. Completions without terms still count as sequences.
pub fn policy_loss(terms: &[TokenTerm], advantages: &[f64], options: &PolicyOptions) -> PolicyLoss {
    let mut counts = vec![0; advantages.len()];
    for term in terms {
        counts[term.completion] += 1;
    }
    let weights = options.normalisation.weights(&counts);
    let (mut loss, mut kl_sum, mut clipped, mut ratio_sum) = (0.0, 0.0, 0usize, 0.0);
    let coefficients = terms
        .iter()
        .map(|term| {
            let advantage = advantages[term.completion];
            let ratio = (term.log_prob - term.old).exp();
            let inside = ratio.clamp(1.0 - options.clip, 1.0 + options.clip);
            let (free, bounded) = (ratio * advantage, inside * advantage);
            let clipping = bounded < free;
            let slope = if clipping { 0.0 } else { free };
            let kl = options.kl.estimate(term.log_prob, term.reference);
            let weight = weights[term.completion];
            loss -= weight * (free.min(bounded) - options.beta * kl.value);
            kl_sum += kl.value;
            clipped += usize::from(clipping);
            ratio_sum += ratio;
            -weight * (slope - options.beta * kl.slope)
        })
        .collect();
    let count = terms.len().max(1) as f64;
    PolicyLoss {
        loss,
        coefficients,
        kl: kl_sum / count,
        clip_fraction: clipped as f64 / count,
        mean_ratio: ratio_sum / count,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(beta: f64, normalisation: Normalisation) -> PolicyOptions {
        PolicyOptions { clip: 0.2, beta, kl: Kl::K3, normalisation }
    }

    fn terms() -> Vec<TokenTerm> {
        let values = [(0, -0.5, -0.6, -0.7), (0, -2.0, -1.0, -1.5), (2, -0.1, -1.0, -0.2)];
        values
            .into_iter()
            .map(|(completion, log_prob, old, reference)| TokenTerm {
                completion,
                log_prob,
                old,
                reference,
            })
            .collect()
    }

    #[test]
    fn coefficients_are_derivatives_of_the_loss() {
        for normalisation in [Normalisation::Token, Normalisation::Sequence, Normalisation::Batch] {
            let (options, advantages) = (options(0.04, normalisation), [0.7, 0.0, -0.7]);
            let exact = policy_loss(&terms(), &advantages, &options).coefficients;
            for (index, coefficient) in exact.iter().enumerate() {
                let at = |delta: f64| {
                    let mut moved = terms();
                    moved[index].log_prob += delta;
                    policy_loss(&moved, &advantages, &options).loss
                };
                let difference = (at(1e-6) - at(-1e-6)) / 2e-6;
                assert!((coefficient - difference).abs() < 1e-6, "{normalisation:?} {index}");
            }
        }
    }

    #[test]
    fn the_clip_fraction_counts_tokens_without_policy_gradient() {
        // Ratio e^0.9 with a positive advantage is clipped; with a negative one it is not.
        let term = TokenTerm { completion: 0, log_prob: -0.1, old: -1.0, reference: -0.1 };
        let options = options(0.0, Normalisation::Token);
        let up = policy_loss(&[term], &[1.0], &options);
        assert_eq!((up.clip_fraction, up.coefficients[0]), (1.0, 0.0));
        let down = policy_loss(&[term], &[-1.0], &options);
        assert_eq!(down.clip_fraction, 0.0);
        assert!(down.coefficients[0] > 0.0);
    }

    #[test]
    fn on_policy_without_kl_it_is_reinforce() {
        // With ratio 1 the gradient is -sum(A grad log p) / count (d1.md section 8).
        let on_policy: Vec<TokenTerm> =
            terms().into_iter().map(|t| TokenTerm { old: t.log_prob, ..t }).collect();
        let result =
            policy_loss(&on_policy, &[0.7, 0.0, -0.7], &options(0.0, Normalisation::Token));
        assert_eq!(result.mean_ratio, 1.0);
        for (coefficient, advantage) in result.coefficients.iter().zip([0.7, 0.7, -0.7]) {
            assert!((coefficient + advantage / 3.0).abs() < 1e-12);
        }
    }
}
