use serde_json::{Map, Value};

/// One turn of a conversation.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Who speaks: `system`, `user`, `assistant`, `tool` ...
    pub role: String,
    /// What is said. A turn that only calls tools may have none.
    pub content: Option<String>,
    /// Everything else that the turn carries (`name`, `tool_calls`, `tool_call_id` ...), handed to
    /// the template as it is.
    pub fields: Map<String, Value>,
}

impl Message {
    /// A turn with nothing but a role and a content.
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Self {
        Self { role: role.into(), content: Some(content.into()), fields: Map::new() }
    }

    /// Whether the assistant speaks.
    pub fn is_assistant(&self) -> bool {
        self.role == "assistant"
    }

    /// As the JSON object that a template sees and a file holds.
    pub fn to_json(&self) -> Value {
        let mut object = Map::new();
        object.insert("role".to_owned(), self.role.clone().into());
        if let Some(content) = &self.content {
            object.insert("content".to_owned(), content.clone().into());
        }
        object.extend(self.fields.iter().map(|(key, value)| (key.clone(), value.clone())));
        Value::Object(object)
    }
}
