//! Which number says what. Limits are those that axolotl's page on training stability names, where
//! it names one.

/// What earlier steps showed.
#[derive(Default)]
pub(super) struct Seen {
    steps: usize,
    /// The last gradient norms, oldest first.
    grad_norms: Vec<f64>,
    best_eval_loss: Option<f64>,
    /// Evaluations in a row whose loss was clearly above the best.
    worse_evals: usize,
}

/// How many gradient norms the usual one is taken from.
const NORMS: usize = 50;
/// Fewer say nothing about what is usual.
const FEWEST_NORMS: usize = 10;

impl Seen {
    pub(super) fn add(&mut self, values: &[(&str, f64)]) {
        self.steps += 1;
        if let Some(norm) = of("grad_norm", values).filter(|norm| norm.is_finite()) {
            if self.grad_norms.len() == NORMS {
                self.grad_norms.remove(0);
            }
            self.grad_norms.push(norm);
        }
        if let Some(loss) = of("eval_loss", values).filter(|loss| loss.is_finite()) {
            self.worse_evals = if self.is_worse(loss) { self.worse_evals + 1 } else { 0 };
            self.best_eval_loss = Some(self.best_eval_loss.map_or(loss, |best| best.min(loss)));
        }
    }

    fn is_worse(&self, loss: f64) -> bool {
        self.best_eval_loss.is_some_and(|best| loss > best + 0.02 * best.abs())
    }

    /// The median gradient norm of late.
    fn usual_norm(&self) -> Option<f64> {
        let mut norms = self.grad_norms.clone();
        norms.sort_by(f64::total_cmp);
        norms.get(norms.len() / 2).copied().filter(|_| norms.len() >= FEWEST_NORMS)
    }
}

/// A hint and when it is due.
pub(super) struct Rule {
    pub(super) id: &'static str,
    /// Which metric it looks at.
    pub(super) about: fn(&str) -> bool,
    /// The metric's value, all values of the step, and the steps before.
    pub(super) holds: fn(f64, &[(&str, f64)], &Seen) -> bool,
    pub(super) alarming: bool,
    pub(super) text: &'static str,
}

fn of(name: &str, values: &[(&str, f64)]) -> Option<f64> {
    values.iter().find_map(|(known, value)| (*known == name).then_some(*value))
}

/// Whether the step is one of reinforcement learning.
fn earns(values: &[(&str, f64)]) -> bool {
    of("reward", values).is_some()
}

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "loss-zero",
        about: |name| name == "loss",
        holds: |loss, values, _| earns(values) && loss.abs() < 1e-6,
        alarming: false,
        text: "loss is 0 at the first inner update because the ratio of the policy to itself is 1 \
               and advantages sum to 0 in every group: the gradient is not 0. Watch reward instead",
    },
    Rule {
        id: "loss-negative",
        about: |name| name == "loss",
        holds: |loss, values, _| earns(values) && loss <= -1e-6,
        alarming: false,
        text: "loss is negative: a policy loss is not an error to bring to 0, its sign and size say \
               little. Watch reward instead",
    },
    Rule {
        id: "kl-zero",
        about: |name| name == "kl",
        holds: |kl, _, seen| seen.steps == 0 && kl.abs() < 1e-9,
        alarming: false,
        text: "kl is 0 at the first step because the policy still is the reference",
    },
    Rule {
        id: "learning-rate-zero",
        about: |name| name == "learning_rate",
        holds: |rate, _, seen| seen.steps == 0 && rate == 0.0,
        alarming: false,
        text: "learning_rate is 0 at the first step because the warm-up begins there",
    },
    Rule {
        id: "no-signal",
        about: |name| name == "frac_reward_zero_std",
        holds: |fraction, _, _| fraction > 0.8,
        alarming: true,
        text: "more than 80 % of the groups earned one reward throughout and teach nothing. Problems \
               are too hard or too easy, or the reward cannot tell answers apart: look at \
               completions.jsonl, change the problems, sample warmer or in larger groups",
    },
    Rule {
        id: "cut-off",
        about: |name| name == "completions/clipped_ratio",
        holds: |ratio, _, _| ratio > 0.3,
        alarming: true,
        text: "more than 30 % of the completions were cut off at the greatest length and earn \
               nothing for answers that come later: allow more tokens or reward brevity",
    },
    Rule {
        id: "kl-high",
        about: |name| name == "kl",
        holds: |kl, _, _| kl > 2.0,
        alarming: true,
        text: "kl is above 2: the policy has gone far from the reference. Lower the learning rate \
               or raise beta, and check that rewards are earned honestly in completions.jsonl",
    },
    Rule {
        id: "entropy-low",
        about: |name| name == "entropy",
        holds: |entropy, values, _| earns(values) && entropy < 0.05,
        alarming: true,
        text: "entropy is below 0.05: the policy writes nearly the same every time and explores no \
               more. Sample warmer, lower the learning rate or raise beta",
    },
    Rule {
        id: "grad-spike",
        about: |name| name == "grad_norm",
        holds: |norm, _, seen| {
            seen.usual_norm().is_some_and(|usual| usual > 0.0 && norm > 10.0 * usual)
        },
        alarming: true,
        text: "grad_norm is more than ten times its usual value. Once is nothing (the norm is \
               clipped); if it recurs, lower the learning rate or look for broken rows",
    },
    Rule {
        id: "grad-zero",
        about: |name| name == "grad_norm",
        holds: |norm, _, _| norm == 0.0,
        alarming: true,
        text: "grad_norm is 0: this step changed nothing. In reinforcement learning every group \
               earned one reward; in supervised training every token was masked",
    },
    Rule {
        id: "eval-rising",
        about: |name| name == "eval_loss",
        holds: |loss, _, seen| seen.worse_evals >= 2 && seen.is_worse(loss),
        alarming: true,
        text: "eval_loss was above its best for three evaluations in a row: the model learns its \
               rows by heart. Stop, or keep the best checkpoint",
    },
    Rule {
        id: "lost-rewards",
        about: |name| name.starts_with("rewards/") && name.ends_with("/failures"),
        holds: |failures, _, _| failures > 0.0,
        alarming: true,
        text: "a reward could not be computed for some completions: see the notices above for why",
    },
];
