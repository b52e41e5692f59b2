use serde::{Deserialize, Serialize};

/// A 95 % interval and the estimate it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The point estimate.
    pub estimate: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Interval {
    /// Whether `value` lies in the interval, ends included.
    pub fn contains(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }
}

/// The 97.5 % quantile of the standard normal distribution.
pub(super) const NORMAL_QUANTILE: f64 = 1.959_963_984_540_054;
