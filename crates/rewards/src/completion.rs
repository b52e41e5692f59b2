use serde_json::{Map, Value};

/// What a model wrote for a prompt, and the row of the data set the prompt came from.
#[derive(Clone, Copy, Debug)]
pub struct Completion<'a> {
    /// A number that no other completion of the batch has.
    pub id: u64,
    /// The prompt as text.
    pub prompt: &'a str,
    /// What the model wrote.
    pub text: &'a str,
    /// Every other column of the row.
    pub columns: &'a Map<String, Value>,
}
