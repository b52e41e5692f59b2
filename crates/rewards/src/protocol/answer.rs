use std::collections::HashMap;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::non_finite::quote_non_finite;
use super::object::Object;
use crate::shown::quoted;
use crate::{Completion, Outcome};

/// Characters of an answer that a message shows.
const SHOWN: usize = 200;
/// Ids that a message names.
const IDS_SHOWN: usize = 5;

/// An answer that says nothing trustworthy about any completion of its batch.
#[derive(Debug)]
pub(crate) struct BadAnswer {
    /// What is wrong with it, and the answer, escaped and cut.
    pub(crate) reason: String,
    /// Whether what comes next from the same source can be trusted to be the next answer.
    pub(crate) in_step: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    batch: u64,
    rewards: Vec<Object<Entry>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    id: u64,
    /// `Some(Value::Null)` where it is null.
    #[serde(default, deserialize_with = "given")]
    reward: Option<Value>,
    #[serde(default)]
    error: Option<String>,
}

fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// The outcomes that an answer holds, in the order of `completions`. They are found by id: the
/// order of the answer does not matter, and each completion must have exactly one entry.
pub(crate) fn outcomes(
    answer: &[u8],
    batch: u64,
    completions: &[Completion<'_>],
) -> Result<Vec<Outcome>, BadAnswer> {
    let bad = |in_step, problem: String| BadAnswer {
        reason: format!("{problem}; the answer was {}", quoted(answer, SHOWN)),
        in_step,
    };
    let read = read(answer).map_err(|problem| bad(false, problem))?;
    if read.batch != batch {
        return Err(bad(
            false,
            format!("expected an answer to batch {batch}, found {}", read.batch),
        ));
    }
    by_id(read.rewards, completions).map_err(|problem| bad(true, problem))
}

fn read(answer: &[u8]) -> Result<Answer, String> {
    if answer.trim_ascii().is_empty() {
        return Err("expected a JSON object, found nothing".to_owned());
    }
    let error = match serde_json::from_slice(answer) {
        Ok(Object(read)) => return Ok(read),
        Err(error) => error,
    };
    if let Some(quoted) = quote_non_finite(answer)
        && let Ok(Object(read)) = serde_json::from_slice(&quoted)
    {
        return Ok(read);
    }
    Err(match answer.trim_ascii_start().first() {
        Some(b'[' | b'-' | b'0'..=b'9') if error.is_data() => {
            "expected {\"batch\": .., \"rewards\": [{\"id\": .., \"reward\": ..}, ..]}, found bare \
             rewards: they are matched to completions by id, never by position, and one is never \
             used for several"
                .to_owned()
        }
        Some(b'{') => format!("not an answer: {error}"),
        _ => format!(
            "not JSON: {error}. The answer must be all that is written there; messages belong on \
             stderr"
        ),
    })
}

fn by_id(
    entries: Vec<Object<Entry>>,
    completions: &[Completion<'_>],
) -> Result<Vec<Outcome>, String> {
    let places: HashMap<u64, usize> =
        completions.iter().enumerate().map(|(place, completion)| (completion.id, place)).collect();
    let mut outcomes: Vec<Option<Outcome>> = vec![None; completions.len()];
    let found = entries.len();
    for Object(entry) in entries {
        let Some(place) = places.get(&entry.id) else {
            return Err(format!("the id {} is not in the batch", entry.id));
        };
        if outcomes[*place].is_some() {
            return Err(format!("the id {} has two rewards", entry.id));
        }
        outcomes[*place] = Some(entry.outcome());
    }
    let missing = completions.iter().zip(&outcomes).filter(|(_, outcome)| outcome.is_none());
    let mut ids = missing.map(|(completion, _)| completion.id.to_string());
    let named: Vec<String> = ids.by_ref().take(IDS_SHOWN).collect();
    if !named.is_empty() {
        let more = ids.count();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        return Err(format!(
            "expected {} rewards, found {found}: nothing for id {}{more}",
            completions.len(),
            named.join(", ")
        ));
    }
    Ok(outcomes.into_iter().flatten().collect())
}

impl Entry {
    fn outcome(self) -> Outcome {
        if let Some(error) = self.error {
            return Outcome::Failed(format!("it says: {}", quoted(error.as_bytes(), SHOWN)));
        }
        match self.reward {
            Some(Value::Null) => Outcome::NotApplicable,
            Some(Value::Number(number)) => match number.as_f64() {
                Some(value) => Outcome::Value(value).checked(),
                None => Outcome::Failed(format!("{number} is not a reward")),
            },
            Some(other) => Outcome::Failed(format!(
                "expected a finite number or null as the reward, found {}",
                quoted(other.to_string().as_bytes(), SHOWN)
            )),
            None => Outcome::Failed("expected a `reward` or an `error`, found neither".to_owned()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, json};

    use super::*;

    fn check(answer: &str) -> Result<Vec<Outcome>, BadAnswer> {
        let columns = Map::new();
        let batch = [7, 8].map(|id| Completion { id, prompt: "", text: "", columns: &columns });
        outcomes(answer.as_bytes(), 3, &batch)
    }

    #[test]
    fn entries_are_matched_by_id() {
        let answer =
            r#"{"rewards": [{"id": 8, "reward": null}, {"reward": 2, "id": 7}], "batch": 3}"#;
        assert_eq!(check(answer).unwrap(), [Outcome::Value(2.0), Outcome::NotApplicable]);
    }

    #[test]
    fn row_23_what_is_wrong_with_one_entry_fails_one_completion() {
        for (entry, why) in [
            (r#""reward": NaN"#, "\"NaN"),
            (r#""reward": -Infinity"#, "Infinity"),
            (r#""reward": "1.0""#, "expected a finite number or null"),
            (r#""reward": true"#, "found \"true\""),
            (r#""reward": [1]"#, "found \"[1]\""),
            (r#""error": "no \u001b[31mtarget""#, r"no \u{1b}[31mtarget"),
            (r#""reward": 1, "error": "NaN""#, "it says"),
            (r#""error": null"#, "found neither"),
        ] {
            let answer = format!(
                r#"{{"batch": 3, "rewards": [{{"id": 7, {entry}}}, {{"id": 8, "reward": 1}}]}}"#
            );
            let outcomes = check(&answer).unwrap();
            assert_eq!(outcomes[1], Outcome::Value(1.0));
            let Outcome::Failed(reason) = &outcomes[0] else { panic!("{entry}") };
            assert!(reason.contains(why), "{reason}");
        }
    }

    #[test]
    fn row_23_an_answer_that_cannot_be_trusted_fails_all_of_its_batch() {
        for (answer, why, in_step) in [
            ("", "found nothing", false),
            ("Loading model..", "not JSON", false),
            ("0.5", "bare rewards", false),
            ("[0.5, 1.0]", "bare rewards", false),
            ("[0.5", "bare rewards", false),
            ("0.5.", "bare rewards", false),
            ("{", "EOF", false),
            ("NaN", "not JSON", false),
            (r#"[3, [[7, 1.0], [8, 1.0]]]"#, "bare rewards", false),
            (r#"{"batch": 3, "rewards": [[7, 1.0], [8, 1.0]]}"#, "expected an object", false),
            (r#"{"batch": 3, "rewards": 0.5}"#, "expected a sequence", false),
            (r#"{"batch": 3, "rewards": [0.5, 1.0]}"#, "expected an object", false),
            (r#"{"batch": 3}"#, "missing field `rewards`", false),
            (r#"{"batch": 3, "rewards": []} {"#, "trailing", false),
            (r#"{"batch": 3, "batch": 3, "rewards": []}"#, "duplicate field", false),
            (r#"{"batch": 3, "rewards": [{"id": "7", "reward": 1}]}"#, "invalid type", false),
            (r#"{"batch": 3, "rewards": [{"id": -7, "reward": 1}]}"#, "invalid value", false),
            (r#"{"batch": 3, "rewards": [{"id": 7, "score": 1}]}"#, "unknown field", false),
            (r#"{"batch": 3, "rewards": [{"id": 7, "reward": 1e999}]}"#, "out of range", false),
            (r#"{"batch": 2, "rewards": []}"#, "answer to batch 3, found 2", false),
            (r#"{"batch": 3, "rewards": []}"#, "found 0: nothing for id 7, 8", true),
            (
                r#"{"batch": 3, "rewards": [{"id": 7, "reward": 1}]}"#,
                "found 1: nothing for id 8",
                true,
            ),
            (
                r#"{"batch": 3, "rewards": [{"id": 7, "reward": 1}, {"id": 7, "reward": 1}]}"#,
                "id 7 has two",
                true,
            ),
            (
                r#"{"batch": 3, "rewards": [{"id": 7, "reward": 1}, {"id": 9, "reward": 1}]}"#,
                "id 9 is not in",
                true,
            ),
        ] {
            let bad = check(answer).unwrap_err();
            assert!(bad.reason.contains(why), "{answer}: {}", bad.reason);
            assert_eq!(bad.in_step, in_step, "{answer}");
            assert!(bad.reason.contains("the answer was \""), "{}", bad.reason);
        }
    }

    #[test]
    fn a_long_answer_is_cut_in_the_message() {
        let bad = check(&"x".repeat(100_000)).unwrap_err();
        assert!(
            bad.reason.len() < 500 && bad.reason.contains("99800 bytes more"),
            "{}",
            bad.reason
        );
    }

    proptest! {
        #[test]
        fn row_23_any_order_of_the_rewards_gives_the_same_by_id(
            rewards in prop::collection::btree_map(any::<u64>(), prop::option::of(-1_000_000..1_000_000), 0..40)
                // Fractions that every reading of decimal numbers gives back exactly.
                .prop_map(|rewards| rewards.into_iter().map(|(id, reward): (u64, Option<i32>)| {
                    (id, reward.map(|reward| f64::from(reward) / 1024.0))
                }).collect::<Vec<_>>())
                .prop_shuffle(),
            order in any::<prop::sample::Index>(),
        ) {
            let columns = Map::new();
            // The batch in another order than the answer.
            let mut asked = rewards.clone();
            if !asked.is_empty() {
                let length = asked.len();
                asked.rotate_left(order.index(length));
            }
            let batch: Vec<Completion<'_>> = asked
                .iter()
                .map(|(id, _)| Completion { id: *id, prompt: "", text: "", columns: &columns })
                .collect();
            let entries: Vec<Value> =
                rewards.iter().map(|(id, reward)| json!({"id": id, "reward": reward})).collect();
            let answer = json!({"batch": 3, "rewards": entries}).to_string();
            let expected: Vec<Outcome> = asked
                .iter()
                .map(|(_, reward)| reward.map_or(Outcome::NotApplicable, Outcome::Value))
                .collect();
            prop_assert_eq!(outcomes(answer.as_bytes(), 3, &batch).unwrap(), expected);
        }

        #[test]
        fn row_23_no_bytes_make_the_checks_panic(
            answer in prop::collection::vec(any::<u8>(), 0..200),
            text in r#"[\[\]{}:,"\\0-9.eE+NaInfity batchrewdsi-]{0,200}"#,
        ) {
            let columns = Map::new();
            let batch = [Completion { id: 1, prompt: "", text: "", columns: &columns }];
            for answer in [&answer[..], text.as_bytes()] {
                if let Ok(outcomes) = outcomes(answer, 1, &batch) {
                    prop_assert_eq!(outcomes.len(), 1);
                }
            }
        }
    }
}
