/// What a reward says about one completion.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The reward: a finite number.
    Value(f64),
    /// The grader could not tell right from wrong, and pays this. Counted apart from
    /// [`Value`](Self::Value).
    Undecided(f64),
    /// The reward has nothing to say about this completion; the sum goes without it.
    NotApplicable,
    /// The reward should have been worked out and was not, for this reason.
    Failed(String),
}

impl Outcome {
    /// A number that is not finite is a failure.
    pub(crate) fn checked(self) -> Self {
        match self {
            Self::Value(value) | Self::Undecided(value) if !value.is_finite() => {
                Self::Failed(format!("{value} is not a reward: expected a finite number"))
            }
            other => other,
        }
    }
}
