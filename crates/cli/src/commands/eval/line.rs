//! One line of the results: a completion and its grades.

use std::collections::BTreeMap;

use afterthought_tasks::{Grade, Problem, Profile};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::questions::Questions;
use crate::commands::decode::{Decoded, Finish};

/// A completion with everything needed to grade it again. Nothing in it depends on the clock or the
/// batch, so that an interrupted and continued file is the undisturbed one, byte for byte.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Line {
    /// The item, told by its content.
    pub(super) id: String,
    /// Position of the item in the data.
    pub(super) index: usize,
    /// Which sample of the item.
    pub(super) sample: usize,
    /// Of the tokens that the model was given, prefill included.
    pub(super) prompt_hash: String,
    /// The text shown to the model.
    pub(super) prompt: String,
    /// What it wrote, behind the prefill.
    pub(super) completion: String,
    /// What is graded of it, where that is something else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) graded: Option<String>,
    /// The problem, so that `grade` can do without the data.
    pub(super) question: String,
    pub(super) ground_truth: Value,
    pub(super) tokens: usize,
    pub(super) finish: Finish,
    pub(super) model_calls: usize,
    /// Whether the answer has the form that the prompt asks for.
    pub(super) in_format: bool,
    /// By profile.
    pub(super) grades: BTreeMap<String, Grade>,
}

/// What a line is about.
pub(super) struct Asked<'a> {
    pub(super) id: &'a str,
    pub(super) index: usize,
    pub(super) prompt_hash: &'a str,
    pub(super) prompt: &'a str,
    pub(super) problem: &'a dyn Problem,
}

impl Line {
    pub(super) fn new(
        asked: &Asked<'_>,
        sample: usize,
        decoded: &Decoded,
        completion: String,
        questions: &Questions,
    ) -> Self {
        let (in_format, grades) = judge(asked.problem, &completion, questions);
        let (question, ground_truth) = asked.problem.question_and_gold();
        let graded = questions.answer(&completion);
        Self {
            id: asked.id.to_owned(),
            index: asked.index,
            sample,
            prompt_hash: asked.prompt_hash.to_owned(),
            prompt: asked.prompt.to_owned(),
            graded: (graded != completion).then_some(graded),
            completion,
            question,
            ground_truth,
            tokens: decoded.tokens.len(),
            finish: decoded.finish,
            model_calls: decoded.model_calls,
            in_format,
            grades,
        }
    }
}

/// Whether a completion keeps to the form, and its grade under every profile.
pub(super) fn judge(
    problem: &dyn Problem,
    completion: &str,
    questions: &Questions,
) -> (bool, BTreeMap<String, Grade>) {
    let answer = questions.answer(completion);
    let grades = Profile::ALL
        .map(|profile| (profile.to_string(), problem.grade(&answer, profile)))
        .into_iter()
        .collect();
    (questions.format.holds(&answer), grades)
}
