use crate::entries::EntriesVisitor;
use crate::{Entries, Keyed};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::fmt;
use std::marker::PhantomData;

/// Any JSON value, no object of which has a key twice.
#[derive(Clone, Debug, PartialEq)]
pub struct Strict(pub Value);

impl Keyed for Strict {
    fn read<'de, D: Deserializer<'de>>(_: &str, value: D) -> Result<Self, D::Error> {
        Self::deserialize(value)
    }
}

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Self)
    }
}

/// The object of some entries.
pub(crate) fn object(entries: Entries<Strict>) -> Map<String, Value> {
    entries.0.into_iter().map(|(key, Strict(value))| (key, value)).collect()
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("not a finite number"))?;
        Ok(Value::Number(number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(Strict(value)) = seq.next_element()? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Value, A::Error> {
        let entries = EntriesVisitor::<Strict>(PhantomData).visit_map(map)?;
        Ok(Value::Object(object(entries)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_says_one_thing_reads_as_serde_json_reads_it() {
        for text in [
            "null",
            "[true, -1, 18446744073709551615, 0.5, 1e300, \"a\\u00e4\\n\"]",
            r#"{"b": {"a": [], "c": {}}, "a": [{"a": 1}, {"a": 2}]}"#,
        ] {
            let strict = serde_json::from_str(text).map(|Strict(value)| value.to_string());
            let ordinary = serde_json::from_str::<Value>(text).map(|value| value.to_string());
            assert_eq!(strict.ok(), ordinary.ok(), "{text}");
        }
    }

    #[test]
    fn a_key_that_occurs_twice_is_an_error_at_any_depth() {
        let error = |text| serde_json::from_str::<Strict>(text).err().map(|e| e.to_string());
        let found = error("{\"a\": 1,\n \"a\": 2}").unwrap_or_default();
        assert_eq!(found, "the key \"a\" occurs twice at line 2 column 4");
        assert!(error(r#"[{"x": [{"b": 1, "c": 2, "b": 1}]}]"#).is_some());
        // Spelt with an escape it is the same key.
        assert!(error(r#"{"a": 1, "\u0061": 1}"#).is_some());
    }
}
