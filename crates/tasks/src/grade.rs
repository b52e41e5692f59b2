use serde::{Deserialize, Serialize};

/// The verdict on one completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The answer is right.
    Correct,
    /// There is an answer and it is not right.
    Wrong,
    /// There is no answer.
    NoAnswer,
    /// The grader cannot tell: it could not read one of the two answers, or its budget of steps ran
    /// out. Counts as no credit, and is reported apart.
    Undecided,
}

/// Points earned out of points possible; whole problems are worth 1, Sudoku cells 1 each under the
/// d1 profile.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Credit {
    /// Points earned.
    pub earned: f64,
    /// Points possible.
    pub possible: f64,
}

/// What one completion was found to say, and what that is worth.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Grade {
    /// The answer as extracted, before normalisation.
    pub answer: Option<String>,
    /// The verdict.
    pub verdict: Outcome,
    /// `credit.earned / credit.possible` in 0..=1 (0 where nothing was possible).
    pub score: f64,
    /// The credit, for sums over problems of different weight.
    pub credit: Credit,
}

impl Grade {
    /// A grade worth one point: earned when `verdict` is [`Outcome::Correct`].
    pub(crate) fn whole(answer: Option<String>, verdict: Outcome) -> Self {
        let earned = f64::from(u8::from(verdict == Outcome::Correct));
        Self { answer, verdict, score: earned, credit: Credit { earned, possible: 1.0 } }
    }

    /// A grade worth `possible` points.
    pub(crate) fn partial(
        answer: Option<String>,
        verdict: Outcome,
        earned: usize,
        possible: usize,
    ) -> Self {
        let credit = Credit { earned: earned as f64, possible: possible as f64 };
        let score = if possible == 0 { 0.0 } else { credit.earned / credit.possible };
        Self { answer, verdict, score, credit }
    }
}

/// The grades of a whole evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Completions graded.
    pub total: usize,
    /// Completions judged [`Outcome::Correct`].
    pub correct: usize,
    /// Completions judged [`Outcome::NoAnswer`].
    pub no_answer: usize,
    /// Completions judged [`Outcome::Undecided`].
    pub undecided: usize,
    /// Sum of earned over sum of possible credit (0 where nothing was possible). For whole problems
    /// this is the accuracy; for d1's Sudoku it is the share of empty cells filled rightly.
    pub score: f64,
}

/// Adds grades up.
pub fn summarise(grades: &[Grade]) -> Summary {
    let count = |outcome| grades.iter().filter(|grade| grade.verdict == outcome).count();
    let earned: f64 = grades.iter().map(|grade| grade.credit.earned).sum();
    let possible: f64 = grades.iter().map(|grade| grade.credit.possible).sum();
    Summary {
        total: grades.len(),
        correct: count(Outcome::Correct),
        no_answer: count(Outcome::NoAnswer),
        undecided: count(Outcome::Undecided),
        score: if possible > 0.0 { earned / possible } else { 0.0 },
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn the_score_weighs_problems_by_their_credit() {
        let grades = [
            Grade::partial(None, Outcome::Wrong, 1, 8),
            Grade::partial(None, Outcome::Correct, 4, 4),
            Grade::partial(None, Outcome::NoAnswer, 0, 8),
        ];
        let summary = summarise(&grades);
        assert_eq!((summary.total, summary.correct, summary.no_answer), (3, 1, 1));
        assert!((summary.score - 5.0 / 20.0).abs() < 1e-15);
        assert_eq!(summarise(&[]).score, 0.0);
    }

    #[test]
    fn outcomes_are_written_in_snake_case() {
        assert_eq!(serde_json::to_string(&Outcome::NoAnswer).unwrap(), "\"no_answer\"");
    }
}
