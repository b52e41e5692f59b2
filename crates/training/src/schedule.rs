use serde::{Deserialize, Serialize};

/// What the learning rate does after its warm-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decay {
    /// Stays.
    #[default]
    Constant,
    /// Falls to zero on a straight line.
    Linear,
    /// Falls to zero on half a cosine.
    Cosine,
}

/// Learning rate by step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// Highest learning rate.
    pub peak: f64,
    /// Steps of linear warm-up from zero.
    pub warmup: usize,
    /// All steps.
    pub total: usize,
    /// Shape after the warm-up.
    pub decay: Decay,
}

impl Schedule {
    /// Learning rate of `step`, from 0.
    pub fn at(&self, step: usize) -> f64 {
        if step < self.warmup {
            return self.peak * (step + 1) as f64 / self.warmup as f64;
        }
        let span = self.total.saturating_sub(self.warmup).max(1);
        let progress = ((step - self.warmup) as f64 / span as f64).min(1.0);
        self.peak
            * match self.decay {
                Decay::Constant => 1.0,
                Decay::Linear => 1.0 - progress,
                Decay::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * progress).cos()),
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warmup_then_decay() {
        let schedule = Schedule { peak: 2.0, warmup: 4, total: 14, decay: Decay::Linear };
        assert_eq!(schedule.at(0), 0.5);
        assert_eq!(schedule.at(3), 2.0);
        assert_eq!(schedule.at(9), 1.0);
        assert_eq!(schedule.at(14), 0.0);
        assert_eq!(Schedule { decay: Decay::Constant, ..schedule }.at(100), 2.0);
        assert!((Schedule { decay: Decay::Cosine, ..schedule }.at(9) - 1.0).abs() < 1e-12);
    }
}
