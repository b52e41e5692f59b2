//! JSON objects in which no key occurs twice: a reader that takes the last one can be told other
//! things than one that takes the first.

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::collections::HashSet;
use std::fmt;
use std::marker::PhantomData;

/// A value whose kind may depend on its key.
pub(super) trait Keyed: Sized {
    fn read<'de, D: Deserializer<'de>>(key: &str, value: D) -> Result<Self, D::Error>;
}

/// The entries of an object, in their order.
pub(super) struct Unique<T>(pub(super) Vec<(String, T)>);

impl<'de, T: Keyed> Deserialize<'de> for Unique<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(UniqueVisitor(PhantomData)).map(Self)
    }
}

struct UniqueVisitor<T>(PhantomData<T>);

impl<'de, T: Keyed> Visitor<'de> for UniqueVisitor<T> {
    type Value = Vec<(String, T)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut entries, mut seen) = (Vec::new(), HashSet::new());
        while let Some(key) = map.next_key::<String>()? {
            if !seen.insert(key.clone()) {
                return Err(A::Error::custom(format!("{key:?} occurs twice")));
            }
            let value = map.next_value_seed(KeyedSeed(&key, PhantomData))?;
            entries.push((key, value));
        }
        Ok(entries)
    }
}

struct KeyedSeed<'a, T>(&'a str, PhantomData<T>);

impl<'de, T: Keyed> DeserializeSeed<'de> for KeyedSeed<'_, T> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        T::read(self.0, deserializer)
    }
}

/// Any JSON value, its objects without repeated keys.
pub(super) struct AnyUnique(pub(super) Value);

impl Keyed for AnyUnique {
    fn read<'de, D: Deserializer<'de>>(_: &str, value: D) -> Result<Self, D::Error> {
        Self::deserialize(value)
    }
}

impl<'de> Deserialize<'de> for AnyUnique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyVisitor).map(Self)
    }
}

struct AnyVisitor;

impl<'de> Visitor<'de> for AnyVisitor {
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

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(AnyUnique(value)) = seq.next_element()? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Value, A::Error> {
        let entries = UniqueVisitor::<AnyUnique>(PhantomData).visit_map(map)?;
        let entries = entries.into_iter().map(|(key, AnyUnique(value))| (key, value));
        Ok(Value::Object(entries.collect::<Map<_, _>>()))
    }
}

/// Parses an object. Keys that occur twice, anywhere in it, are errors.
pub(super) fn parse_object(bytes: &[u8]) -> Result<Map<String, Value>, serde_json::Error> {
    // Editors on Windows begin files with this mark.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let entries: Unique<AnyUnique> = serde_json::from_slice(bytes)?;
    Ok(entries.0.into_iter().map(|(key, AnyUnique(value))| (key, value)).collect())
}
