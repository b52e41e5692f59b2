use std::fmt::Debug;

use crate::{Exercise, Grade, Profile, PromptStyle, TaskName};

/// A question whose answers can be checked by a program.
pub trait Problem: Send + Sync + Debug {
    /// The task this problem belongs to.
    fn task(&self) -> TaskName;

    /// The text shown to the model (a single user turn, no chat template).
    fn prompt(&self, style: PromptStyle) -> String;

    /// Grades everything the model wrote after the prompt.
    fn grade(&self, completion: &str, profile: Profile) -> Grade;

    /// The reward that d1's reinforcement learning pays for the completion.
    ///
    /// Ranges: Sudoku and Countdown 0..=1, MATH 0.25..=3, GSM8K up to 4 (negative for very long
    /// text after the answer).
    fn reward(&self, completion: &str) -> f64;

    /// The problem as an entry of a few-shot prompt; `None` for tasks without such prompts.
    fn exercise(&self) -> Option<Exercise> {
        None
    }

    /// Whether two extracted answers say the same, so that votes for them count together.
    fn same_answer(&self, a: &str, b: &str) -> bool {
        a.trim() == b.trim()
    }

    /// What problems that are not independent of this one share: the solution grid of a Sudoku,
    /// numbers and target of a Countdown whatever their order. Intervals resample families.
    fn family(&self) -> String {
        self.prompt(PromptStyle::D1)
    }

    /// The question and the gold answer as a file of generations holds them, so that
    /// [`problem_from_generation`](crate::generations::problem_from_generation) gives this problem.
    fn question_and_gold(&self) -> (String, serde_json::Value);

    /// The problem as one JSONL row: `task`, `prompt` (style [`PromptStyle::D1`]) and the columns
    /// from which the same problem can be read back.
    fn record(&self) -> serde_json::Value;
}
