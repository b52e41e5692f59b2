//! The numbers of the steps since the last line of the log.

use serde::{Deserialize, Serialize};

/// Sums over the steps since the last line of the log. They belong to a run's state, so that the line
/// after a resume is the one that there would have been.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Interval {
    steps: u64,
    sums: Vec<Sum>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sum {
    name: String,
    /// The bits of the `f64`: decimal digits would not bring back every last one.
    bits: u64,
}

impl Interval {
    /// Adds a step.
    pub(super) fn add(&mut self, scalars: &[(String, f64)]) {
        self.steps += 1;
        for (name, value) in scalars {
            match self.sums.iter_mut().find(|sum| sum.name == *name) {
                Some(sum) => sum.bits = (f64::from_bits(sum.bits) + value).to_bits(),
                None => self.sums.push(Sum { name: name.clone(), bits: value.to_bits() }),
            }
        }
    }

    /// The means; the next interval begins.
    pub(super) fn take(&mut self) -> Vec<(String, f64)> {
        let Self { steps, sums } = std::mem::take(self);
        let steps = steps.max(1) as f64;
        sums.into_iter().map(|sum| (sum.name, f64::from_bits(sum.bits) / steps)).collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn means_survive_being_written_down() {
        let step = |loss: f64| vec![("loss".to_owned(), loss)];
        let (mut whole, mut first) = (Interval::default(), Interval::default());
        for loss in [0.1, 0.2, 0.7, 1.0 / 3.0] {
            whole.add(&step(loss));
        }
        first.add(&step(0.1));
        first.add(&step(0.2));
        let text = serde_json::to_string(&first).unwrap();
        let mut second: Interval = serde_json::from_str(&text).unwrap();
        second.add(&step(0.7));
        second.add(&step(1.0 / 3.0));
        assert_eq!(second, whole);
        let mean = (0.1 + 0.2 + 0.7 + 1.0 / 3.0) / 4.0;
        assert_eq!(whole.take(), [("loss".to_owned(), mean)]);
        assert_eq!(whole, Interval::default());
    }
}
