//! What results must have in common to stand in one file.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The first line of a results file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Header {
    pub(super) schema: String,
    /// Where the model and the data were, for people; they may move.
    pub(super) model: String,
    pub(super) data: String,
    /// What decides on a completion.
    pub(super) request: Value,
}

/// The settings in which two requests differ, as `path: there, here`.
pub(super) fn differences(there: &Value, here: &Value) -> Vec<String> {
    let mut found = Vec::new();
    compare("", there, here, &mut found);
    found
}

fn compare(path: &str, there: &Value, here: &Value, found: &mut Vec<String>) {
    match (there, here) {
        (Value::Object(a), Value::Object(b)) => {
            let mut keys: Vec<&String> = a.keys().chain(b.keys()).collect();
            keys.sort_unstable();
            keys.dedup();
            for key in keys {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                let [there, here] = [a, b].map(|map| map.get(key).unwrap_or(&Value::Null));
                compare(&path, there, here, found);
            }
        }
        _ if there == here => {}
        _ => found.push(format!("{path} is {here} and was {there}")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn differences_are_named_by_their_path() {
        let there = json!({"a": {"b": 1, "c": [1]}, "d": "x"});
        let here = json!({"a": {"b": 2, "c": [1]}, "e": true, "d": "x"});
        assert_eq!(differences(&there, &here), ["a.b is 2 and was 1", "e is true and was null"]);
        assert!(differences(&there, &there).is_empty());
    }
}
