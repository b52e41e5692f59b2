//! The difference of two fingerprints, key by key.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::{Value, json};

use super::Fingerprint;

/// One thing that is not as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its key path, as in `recipe.optimizer.learning_rate` or `datasets["train.jsonl"].rows`.
    pub what: String,
    /// What it was, as JSON, or `(absent)`.
    pub was: String,
    /// What it is now, as JSON, or `(absent)`.
    pub now: String,
}

impl fmt::Display for Change {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, was, now } = self;
        write!(out, "{what}: {was} -> {now}")
    }
}

pub(super) fn between(was: &Fingerprint, now: &Fingerprint) -> Vec<Change> {
    let mut changes = Vec::new();
    compare("", Some(&tree(was)), Some(&tree(now)), &mut changes);
    changes
}

/// The fingerprint as JSON, in the order in which it is read.
fn tree(fingerprint: &Fingerprint) -> Value {
    let Fingerprint { recipe, datasets, program, threads, kernels, precision } = fingerprint;
    let dataset = |d: &super::Dataset| json!({ "blake3": d.blake3, "rows": d.rows });
    let datasets = datasets.iter().map(|(path, d)| (path.clone(), dataset(d))).collect();
    json!({
        "recipe": recipe,
        "datasets": Value::Object(datasets),
        "program": { "version": program.version, "blake3": program.blake3 },
        "threads": threads,
        "kernels": kernels,
        "precision": precision,
    })
}

fn compare(path: &str, was: Option<&Value>, now: Option<&Value>, changes: &mut Vec<Change>) {
    match (was, now) {
        (Some(Value::Object(a)), Some(Value::Object(b))) => {
            // What was there first, in its order, then what is new.
            let known: BTreeSet<&String> = a.keys().collect();
            for key in a.keys().chain(b.keys().filter(|key| !known.contains(key))) {
                compare(&member(path, key), a.get(key), b.get(key), changes);
            }
        }
        (Some(Value::Array(a)), Some(Value::Array(b))) => {
            for index in 0..a.len().max(b.len()) {
                compare(&format!("{path}[{index}]"), a.get(index), b.get(index), changes);
            }
        }
        (Some(Value::Number(a)), Some(Value::Number(b))) if same_number(a, b) => {}
        _ if was == now => {}
        _ => {
            let text = |value: Option<&Value>| value.map_or("(absent)".into(), Value::to_string);
            changes.push(Change { what: path.to_owned(), was: text(was), now: text(now) });
        }
    }
}

/// Whether one number is the other, or what the other becomes when it is written and read: reading
/// JSON without serde_json's `float_roundtrip` changes the last bit of one in seven long numbers.
fn same_number(a: &serde_json::Number, b: &serde_json::Number) -> bool {
    let reread = |n: &serde_json::Number| serde_json::from_str(&n.to_string()).ok();
    a == b || reread(a).as_ref() == Some(b) || reread(b).as_ref() == Some(a)
}

fn member(path: &str, key: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if key.is_empty() || !key.chars().all(plain) {
        format!("{path}[{key:?}]")
    } else if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::{Dataset, Program};
    use super::*;

    fn fingerprint() -> Fingerprint {
        let dataset = Dataset { blake3: "aa".into(), rows: 10 };
        Fingerprint {
            recipe: json!({
                "method": "sft",
                "optimizer": { "learning_rate": 3e-4, "betas": [0.9, 0.999] },
                "rewards": [{ "name": "format" }],
            }),
            datasets: BTreeMap::from([("data/train.jsonl".into(), dataset)]),
            program: Program { version: "0.1.0".into(), blake3: "bb".into() },
            threads: 2,
            kernels: "amx".into(),
            precision: "bf16".into(),
        }
    }

    fn lines(was: &Fingerprint, now: &Fingerprint) -> Vec<String> {
        was.changes(now).iter().map(ToString::to_string).collect()
    }

    /// Row 18: a resume with other settings shows what is other.
    #[test]
    fn row_18_every_change_is_a_line_with_its_key() {
        let was = fingerprint();
        let mut now = fingerprint();
        now.recipe = json!({
            "optimizer": { "betas": [0.9, 0.99, 0.5], "learning_rate": 1e-3 },
            "method": "sft",
            "rewards": { "name": "format" },
            "new key": "x",
        });
        now.datasets.insert("b.jsonl".into(), Dataset { blake3: "cc".into(), rows: 1 });
        now.datasets.get_mut("data/train.jsonl").unwrap().rows = 11;
        now.program.blake3 = "dd".into();
        now.threads = 1;
        now.precision = "f32".into();
        let expected = [
            "recipe.optimizer.learning_rate: 0.0003 -> 0.001",
            "recipe.optimizer.betas[1]: 0.999 -> 0.99",
            "recipe.optimizer.betas[2]: (absent) -> 0.5",
            r#"recipe.rewards: [{"name":"format"}] -> {"name":"format"}"#,
            r#"recipe["new key"]: (absent) -> "x""#,
            r#"datasets["data/train.jsonl"].rows: 10 -> 11"#,
            r#"datasets["b.jsonl"]: (absent) -> {"blake3":"cc","rows":1}"#,
            r#"program.blake3: "bb" -> "dd""#,
            "threads: 2 -> 1",
            r#"precision: "bf16" -> "f32""#,
        ];
        assert_eq!(lines(&was, &now), expected);
        assert!(was.changes(&fingerprint()).is_empty());
    }

    #[test]
    fn a_fingerprint_that_was_saved_has_not_changed() {
        let mut was = fingerprint();
        // Numbers of seventeen digits, which the reader of JSON may miss by one bit.
        let numbers: Vec<f64> = (1..2000).map(|i| (f64::from(i)).sqrt() * 1e-7).collect();
        was.recipe["numbers"] = json!(numbers);
        let text = serde_json::to_string(&was).unwrap();
        let read: Fingerprint = serde_json::from_str(&text).unwrap();
        assert_eq!(lines(&was, &read), [""; 0]);
        assert_eq!(lines(&read, &was), [""; 0]);
        let mut next = was.clone();
        next.recipe["numbers"][5] = json!(numbers[5].next_up().next_up());
        assert_eq!(was.changes(&next).len(), 1);
    }
}
