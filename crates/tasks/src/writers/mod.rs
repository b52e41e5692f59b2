//! People who write about puzzles: the corpus of the laptop experiments.
//!
//! A base model is to reinforcement learning what its corpus made it. This corpus is a mixture of
//! [`Habit`]s, so that the base model can do more than it usually does: some writers reason and are
//! right, some reason badly, some answer at once, some miss the format. [`Writer::teacher`] texts are what
//! supervised fine-tuning sees: always right, in the format, with self-correction, in a
//! chosen mixture of both styles of reasoning.
//!
//! All text is words separated by single spaces, so that a word-level tokenizer round-trips it.

mod countdown;
mod sudoku;

pub use countdown::{CountdownWriter, Part, is_writable};
pub use sudoku::SudokuWriter;

use crate::Problem;
use afterthought_random::Stream;

/// How a writer goes about a puzzle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Habit {
    /// Reasons by a method that always works, and is right.
    Methodical,
    /// Reasons as it comes, without checking, and is often wrong.
    Casual,
    /// Answers at once by a rule of thumb, and is mostly wrong.
    Hasty,
    /// Reasons methodically and then leaves the answer tags out.
    Formless,
}

impl Habit {
    /// All habits.
    pub const ALL: [Self; 4] = [Self::Methodical, Self::Casual, Self::Hasty, Self::Formless];
}

/// Writes completions for one task.
pub trait Writer: Send + Sync {
    /// A new problem of the task.
    fn problem(&self, stream: &mut Stream) -> Result<Box<dyn Problem>, crate::TaskError>;

    /// A new problem with a completion in one habit.
    fn corpus(&self, habit: Habit, stream: &mut Stream) -> Result<Written, crate::TaskError>;

    /// A new problem with a right completion. `methodical` is the share of completions in the
    /// methodical style (the others follow the casual one, but rightly), `correction` the
    /// probability of a slip that the writer notices and puts right.
    fn teacher(
        &self,
        methodical: f64,
        correction: f64,
        stream: &mut Stream,
    ) -> Result<Written, crate::TaskError>;
}

/// A problem's prompt (compact style) and a completion, as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// What the writer was asked.
    pub prompt: String,
    /// What the writer wrote.
    pub completion: String,
}

/// Every word that prompts and completions of both tasks are made of, tags included, in a fixed
/// order.
pub fn vocabulary() -> Vec<String> {
    let mut words: Vec<String> = ["<reasoning>", "</reasoning>", "<answer>", "</answer>", "wait"]
        .into_iter()
        .map(ToOwned::to_owned)
        .collect();
    words.extend(sudoku::words());
    words.extend(countdown::words());
    // Digits stand in both.
    let mut seen = std::collections::HashSet::new();
    words.retain(|word| seen.insert(word.clone()));
    words
}

/// `<reasoning> ... </reasoning> <answer> ... </answer>`.
fn in_format(reasoning: &[String], answer: &str) -> String {
    let reasoning: String = reasoning.iter().flat_map(|word| [word.as_str(), " "]).collect();
    format!("<reasoning> {reasoning}</reasoning> <answer> {answer} </answer>")
}
