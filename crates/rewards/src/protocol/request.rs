use serde::Serialize;
use serde_json::{Map, Value};

use super::ids::check_ids;
use crate::{Completion, Error};

#[derive(Serialize)]
struct Request<'a> {
    batch: u64,
    items: Vec<Item<'a>>,
}

/// The columns stand in an object of their own: beside the other keys, a column called `id` or
/// `completion` would replace one of them.
#[derive(Serialize)]
struct Item<'a> {
    id: u64,
    prompt: &'a str,
    completion: &'a str,
    columns: &'a Map<String, Value>,
}

/// The request about the next batch, whose number goes up; `None`, and no number, for an empty one.
///
/// # Errors
/// Two ids are the same.
pub(crate) fn next_request(
    number: &mut u64,
    batch: &[Completion<'_>],
) -> Result<Option<Vec<u8>>, Error> {
    check_ids(batch)?;
    if batch.is_empty() {
        return Ok(None);
    }
    *number += 1;
    Ok(Some(request(*number, batch)))
}

/// The batch as one JSON document, without a line break anywhere in it.
fn request(batch: u64, completions: &[Completion<'_>]) -> Vec<u8> {
    let items = completions.iter().map(|completion| Item {
        id: completion.id,
        prompt: completion.prompt,
        completion: completion.text,
        columns: completion.columns,
    });
    let request = Request { batch, items: items.collect() };
    #[expect(clippy::expect_used)]
    // Strings, numbers and JSON values can all be written, and writing to memory does not fail.
    serde_json::to_vec(&request).expect("a batch can be written as JSON")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn one_line_whatever_the_text_holds() {
        let columns = json!({"id": "a column", "target": 5});
        let completion = Completion {
            id: u64::MAX,
            prompt: "a\r\nb\u{2028}c",
            text: "\"\\\0\u{1F600}",
            columns: columns.as_object().unwrap(),
        };
        let line = request(3, &[completion]);
        assert!(!line.contains(&b'\n') && !line.contains(&b'\r'));
        let read: Value = serde_json::from_slice(&line).unwrap();
        let item = json!({
            "id": u64::MAX,
            "prompt": completion.prompt,
            "completion": completion.text,
            "columns": columns,
        });
        assert_eq!(read, json!({"batch": 3, "items": [item]}));
    }
}
