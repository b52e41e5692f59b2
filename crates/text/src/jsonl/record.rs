use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::{Map, Value};

/// One line of a JSONL file: an object with `prompt`, perhaps `completion`, and further columns.
///
/// A `completion` that is `null` counts as absent. Key order of the further columns is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// What the model is given.
    pub prompt: String,
    /// What it should answer, where the file says so.
    pub completion: Option<String>,
    /// All other columns, such as those that a reward needs.
    pub columns: Map<String, Value>,
}

impl<'de> Deserialize<'de> for Record {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(RecordVisitor)
    }
}

/// Written by hand because the derived one keeps the last of several equal keys in silence.
struct RecordVisitor;

impl<'de> Visitor<'de> for RecordVisitor {
    type Value = Record;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with `prompt`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Record, A::Error> {
        let mut prompt = None;
        let mut completion = None;
        let mut columns = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            let repeated = match key.as_str() {
                "prompt" => prompt.replace(map.next_value::<String>()?).is_some(),
                "completion" => completion.replace(map.next_value::<Option<String>>()?).is_some(),
                _ => columns.insert(key.clone(), map.next_value()?).is_some(),
            };
            if repeated {
                return Err(A::Error::custom(format_args!("the key `{key}` occurs twice")));
            }
        }
        let prompt = prompt.ok_or_else(|| A::Error::missing_field("prompt"))?;
        Ok(Record { prompt, completion: completion.flatten(), columns })
    }
}
