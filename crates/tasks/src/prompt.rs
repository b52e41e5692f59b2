use serde::{Deserialize, Serialize};

/// How a problem is worded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PromptStyle {
    /// A format instruction followed by the task, like the d1 paper's training prompts (same
    /// content, our own words). For instruction-tuned models.
    D1,
    /// As few words as possible. For tiny word-level models trained from nothing.
    Compact,
}

/// The response format that every long prompt asks for and every reward looks for.
const FORMAT: &str = "\
Write your response in this form:
<reasoning>
your reasoning
</reasoning>
<answer>
your answer
</answer>";

/// The response format followed by the task.
pub(crate) fn with_format(task: &str) -> String {
    format!("{FORMAT}\n\n{task}")
}
